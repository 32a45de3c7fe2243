#!/bin/sh
# Takes the sidecar's arguments, says where it listens as the sidecar does, and does nothing.
echo "starting $*" >&2
echo "some other line"
sed -n 's/^listen: /listening on /p' "$3"
exec sleep 600
