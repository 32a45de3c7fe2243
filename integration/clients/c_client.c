/* The stock C client (libzookeeper_mt) through the sidecar; compiled and run by c_client.py.
 *
 *   c_client HOST:PORT LOCAL REMOTE refused|applied TIMEOUT_MS OPS
 *
 * LOCAL and REMOTE must exist and be empty. Prints one JSON line; exits 1 with a message.
 * This client aborts its process on replies it does not expect, sends no pings while it waits for
 * a reply, and replays SetWatches with a reserved xid, which is what makes it worth running. */
#define THREADED
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

enum { PATH = 512, PATIENCE = 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected, disconnects, auth_rc = 1;

static void fail(const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    fprintf(stderr, "FAILED c_client: ");
    vfprintf(stderr, format, rest);
    fprintf(stderr, "\n");
    exit(1);
}

#define CHECK(condition, ...) do { if (!(condition)) fail(__VA_ARGS__); } while (0)
#define OK(call) do { int rc_ = (call); CHECK(rc_ == ZOK, "line %d: %s: rc %d", __LINE__, #call, rc_); } while (0)
#define RC(call, want) do { int rc_ = (call); CHECK(rc_ == (want), "line %d: %s: rc %d, expected %d", __LINE__, #call, rc_, want); } while (0)

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* Waits until *value == want, all under `lock`. */
static void await(int *value, int want, const char *what) {
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE;
    pthread_mutex_lock(&lock);
    while (*value != want)
        CHECK(pthread_cond_timedwait(&changed, &lock, &end) == 0, "%s: %d, expected %d", what, *value, want);
    pthread_mutex_unlock(&lock);
}

static void put(int *value, int by) {
    pthread_mutex_lock(&lock);
    *value += by;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_session(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)path, (void)context;
    if (type != ZOO_SESSION_EVENT)
        return;
    pthread_mutex_lock(&lock);
    if (state == ZOO_CONNECTED_STATE)
        connected = 1;
    else if (connected)
        disconnects++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static char *below(const char *path, const char *name) {
    static char buffers[8][PATH];
    static int next;
    char *buffer = buffers[next++ % 8];
    snprintf(buffer, PATH, "%s/%s", path, name);
    return buffer;
}

/* ---- pipelined ---------------------------------------------------------------------------- */

struct expected { int index; int is_get; int value; };
static int completed, order_faults, value_faults;

static void note(int index) {
    pthread_mutex_lock(&lock);
    order_faults += index != completed;
    completed++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void on_set(int rc, const struct Stat *stat, const void *data) {
    const struct expected *e = data;
    if (rc != ZOK || stat->version != e->value)
        value_faults++;
    note(e->index);
}

static void on_get(int rc, const char *value, int length, const struct Stat *stat, const void *data) {
    const struct expected *e = data;
    char text[32] = {0};
    if (rc == ZOK && length < 32)
        memcpy(text, value, length);
    if (rc != ZOK || atoi(text) != e->value || stat->version != e->value)
        value_faults++;
    note(e->index);
}

static void pipelined(zhandle_t *zh, const char *both[2], int ops) {
    int versions[2] = {0, 0};
    struct expected *all = calloc(ops, sizeof *all);
    for (int side = 0; side < 2; side++)
        OK(zoo_create(zh, below(both[side], "p"), "0", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    for (int i = 0; i < ops; i++) {
        int side = (i / 3 + i / 7) % 2;
        char text[32];
        all[i].index = i;
        if (i % 2) {
            all[i].value = versions[side];
            OK(zoo_aget(zh, below(both[side], "p"), 0, on_get, &all[i]));
        } else {
            all[i].value = ++versions[side];
            int length = snprintf(text, sizeof text, "%d", versions[side]);
            OK(zoo_aset(zh, below(both[side], "p"), text, length, -1, on_set, &all[i]));
        }
    }
    double end = now() + 120;
    while (now() < end) {
        pthread_mutex_lock(&lock);
        int done = completed == ops;
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec += 1;
        if (!done)
            pthread_cond_timedwait(&changed, &lock, &soon);
        pthread_mutex_unlock(&lock);
        if (done)
            break;
    }
    CHECK(completed == ops, "%d of %d pipelined replies", completed, ops);
    CHECK(!order_faults && !value_faults, "pipelined: %d out of order, %d wrong", order_faults, value_faults);
    free(all);
}

/* ---- multi -------------------------------------------------------------------------------- */

static int multi_rc = 1, multi_done;

static void on_multi(int rc, const void *data) {
    (void)data;
    multi_rc = rc;
    put(&multi_done, 1);
}

static void multi_inside(zhandle_t *zh, const char *path) {
    char made[PATH], sequential[PATH];
    struct Stat stat;
    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    char *node = below(path, "m");
    zoo_create_op_init(&ops[0], node, "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made);
    zoo_create_op_init(&ops[1], below(node, "s-"), "x", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, sequential, sizeof sequential);
    zoo_set_op_init(&ops[2], node, "y", 1, 0, &stat);
    zoo_check_op_init(&ops[3], node, 1);
    OK(zoo_multi(zh, 4, ops, results));
    CHECK(!strcmp(made, node) && !strcmp(sequential, below(node, "s-0000000000")), "multi made %s and %s", made, sequential);
    CHECK(stat.version == 1, "multi set gives version %d", stat.version);
    zoo_set_op_init(&ops[0], node, "z", 1, -1, &stat);
    zoo_check_op_init(&ops[1], node, 77);
    zoo_delete_op_init(&ops[2], node, -1);
    RC(zoo_multi(zh, 3, ops, results), ZBADVERSION);
    CHECK(results[0].err == 0 && results[1].err == ZBADVERSION && results[2].err == ZRUNTIMEINCONSISTENCY,
          "failed multi: %d %d %d", results[0].err, results[1].err, results[2].err);
    OK(zoo_exists(zh, node, 0, &stat));
    CHECK(stat.version == 1, "a failed multi left a trace");
}

static void multi_across(zhandle_t *zh, const char *here, const char *there) {
    struct Stat stat, before;
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    OK(zoo_exists(zh, below(there, "m"), 0, &before));
    zoo_set_op_init(&ops[0], below(here, "m"), "n", 1, -1, &stat);
    zoo_set_op_init(&ops[1], below(there, "m"), "n", 1, -1, &stat);
    zoo_check_op_init(&ops[2], below(here, "m"), -1);
    RC(zoo_multi(zh, 3, ops, results), ZBADARGUMENTS);
    CHECK(results[0].err == 0 && results[1].err == ZBADARGUMENTS && results[2].err == ZRUNTIMEINCONSISTENCY,
          "multi across: %d %d %d", results[0].err, results[1].err, results[2].err);
    multi_done = 0;
    OK(zoo_amulti(zh, 3, ops, results, on_multi, NULL));
    await(&multi_done, 1, "reply to an async multi");
    CHECK(multi_rc == ZBADARGUMENTS, "async multi across: rc %d", multi_rc);
    OK(zoo_exists(zh, below(there, "m"), 0, &stat));
    CHECK(stat.version == before.version, "a refused multi left a trace");
}

/* ---- auth, owners, watches ------------------------------------------------------------------ */

static void on_auth(int rc, const void *data) {
    (void)data;
    pthread_mutex_lock(&lock);
    auth_rc = rc;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void auth(zhandle_t *zh, zhandle_t *stranger, const char *path) {
    struct ACL_vector acl;
    struct Stat stat;
    char value[8];
    int length = sizeof value;
    OK(zoo_create(zh, below(path, "mine"), "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0));
    OK(zoo_get_acl(zh, below(path, "mine"), &acl, &stat));
    CHECK(acl.count == 1 && !strncmp(acl.data[0].id.id, "anne:", 5), "ACL of %s", below(path, "mine"));
    deallocate_ACL_vector(&acl);
    OK(zoo_get(zh, below(path, "mine"), 0, value, &length, &stat));
    char any[8];
    int any_length = sizeof any;
    RC(zoo_get(stranger, below(path, "mine"), 0, any, &any_length, &stat), ZNOAUTH);
}

static void owner(zhandle_t *zh, const char *path) {
    struct Stat stat;
    char made[PATH];
    OK(zoo_create(zh, below(path, "e"), "x", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0));
    OK(zoo_exists(zh, below(path, "e"), 0, &stat));
    CHECK(stat.ephemeralOwner == zoo_client_id(zh)->client_id, "owner of %s/e is %llx, the session %llx", path,
          (unsigned long long)stat.ephemeralOwner, (unsigned long long)zoo_client_id(zh)->client_id);
    OK(zoo_create2(zh, below(path, "s-"), "x", 1, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL | ZOO_SEQUENCE, made, sizeof made, &stat));
    CHECK(!strncmp(made, below(path, "s-"), strlen(path) + 3) && stat.ephemeralOwner == zoo_client_id(zh)->client_id,
          "create2 made %s of %llx", made, (unsigned long long)stat.ephemeralOwner);
}

static int events;
static char last_event[PATH];

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)state, (void)context;
    if (type == ZOO_SESSION_EVENT)
        return;
    pthread_mutex_lock(&lock);
    snprintf(last_event, sizeof last_event, "%d %s", type, path);
    events++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void fires(const char *path, int type, int count, const char *what) {
    char want[PATH];
    await(&events, count, what);
    snprintf(want, sizeof want, "%d %s", type, path);
    CHECK(!strcmp(last_event, want), "%s: event '%s', expected '%s'", what, last_event, want);
}

static void watches(zhandle_t *zh, zhandle_t *writer, const char *path) {
    struct Stat stat;
    struct String_vector names;
    char value[8];
    int length = sizeof value;
    char node[PATH];
    snprintf(node, sizeof node, "%s/w", path);
    events = 0;
    RC(zoo_wexists(zh, node, on_event, NULL, &stat), ZNONODE);
    OK(zoo_create(writer, node, "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    fires(node, ZOO_CREATED_EVENT, 1, "watch on a missing node");
    OK(zoo_wget(zh, node, on_event, NULL, value, &length, &stat));
    OK(zoo_set(writer, node, "1", 1, -1));
    OK(zoo_set(writer, node, "2", 1, -1));
    fires(node, ZOO_CHANGED_EVENT, 2, "data watch");
    OK(zoo_wget_children(zh, node, on_event, NULL, &names));
    deallocate_String_vector(&names);
    OK(zoo_create(writer, below(node, "c"), "x", 1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0));
    fires(node, ZOO_CHILD_EVENT, 3, "child watch");
    OK(zoo_delete(writer, below(node, "c"), -1));
    OK(zoo_wexists(zh, node, on_event, NULL, &stat));
    OK(zoo_delete(writer, node, -1));
    fires(node, ZOO_DELETED_EVENT, 4, "watch on a doomed node");
    OK(zoo_exists(zh, path, 0, &stat));
    CHECK(events == 4, "%d events below %s, expected 4", events, path);
}

/* ---- time ----------------------------------------------------------------------------------- */

/* With requests outstanding this client sends no pings: keeping its session on the side that it
 * does not talk to is not its own doing. */
static int only_on(zhandle_t *zh, const char *busy, const char *idle, double seconds) {
    struct Stat stat;
    int requests = 0;
    for (double end = now() + seconds; now() < end; requests++) {
        char value[32];
        int length = sizeof value;
        OK(zoo_get(zh, below(busy, "p"), 0, value, &length, &stat));
    }
    OK(zoo_exists(zh, below(idle, "e"), 0, &stat));
    OK(zoo_exists(zh, below(busy, "e"), 0, &stat));
    CHECK(zoo_state(zh) == ZOO_CONNECTED_STATE, "state %d after a busy time", zoo_state(zh));
    return requests;
}

static zhandle_t *open_client(const char *address, int timeout, watcher_fn watcher) {
    zhandle_t *zh = zookeeper_init(address, watcher, timeout, NULL, NULL, 0);
    CHECK(zh, "zookeeper_init");
    return zh;
}

int main(int argc, char **argv) {
    CHECK(argc == 7, "usage: c_client HOST:PORT LOCAL REMOTE refused|applied TIMEOUT_MS OPS");
    const char *both[2] = {argv[2], argv[3]};
    int timeout = atoi(argv[5]), ops = atoi(argv[6]);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = open_client(argv[1], timeout, on_session);
    await(&connected, 1, "connection");
    long long session = zoo_client_id(zh)->client_id;
    zhandle_t *other = open_client(argv[1], timeout, NULL);
    pipelined(zh, both, ops);
    for (int side = 0; side < 2; side++)
        multi_inside(zh, both[side]);
    if (!strcmp(argv[4], "refused"))
        for (int side = 0; side < 2; side++)
            multi_across(zh, both[side], both[1 - side]);
    OK(zoo_add_auth(zh, "digest", "anne:a", 6, on_auth, NULL));
    await(&auth_rc, ZOK, "rc of add_auth");
    for (int side = 0; side < 2; side++) {
        auth(zh, other, both[side]);
        owner(zh, both[side]);
        watches(zh, other, both[side]);
        watches(zh, zh, both[side]);
    }
    int remote = only_on(zh, both[1], both[0], timeout * 2 / 1000.0);
    int local = only_on(zh, both[0], both[1], timeout * 2 / 1000.0);
    CHECK(!disconnects && zoo_client_id(zh)->client_id == session, "%d disconnects", disconnects);
    OK(zookeeper_close(zh));
    for (int side = 0; side < 2; side++) {
        struct Stat stat;
        char value[8];
        int length = sizeof value, rc = ZOK;
        OK(zoo_get(other, both[side], 0, value, &length, &stat));
        for (double end = now() + 3; rc == ZOK && now() < end;) /* may be a lagging server */
            rc = zoo_exists(other, below(both[side], "e"), 0, &stat);
        CHECK(rc == ZNONODE, "%s/e after close: rc %d", both[side], rc);
    }
    OK(zookeeper_close(other));
    printf("{\"ops\": %d, \"busy_remote_requests\": %d, \"busy_local_requests\": %d}\n", ops, remote, local);
    return 0;
}
