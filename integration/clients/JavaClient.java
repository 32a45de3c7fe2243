import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/**
 * What the stock Java client can do and kazoo cannot. Run by java_client.py as
 * {@code java -cp zookeeper.jar JavaClient.java PART CONNECT LOCAL REMOTE refused|applied SEED}.
 * The Java client runs events and completions on one thread in the order they arrived, so that
 * their order is seen here as it was on the wire.
 */
public class JavaClient {
    static final long PATIENCE = 20_000;
    static final byte[] NOTHING = {};

    // ---- helpers -------------------------------------------------------------------------------

    static void check(boolean condition, String message) {
        if (!condition) {
            throw new IllegalStateException(message);
        }
    }

    static void equal(Object found, Object expected, String what) {
        check(found == null ? expected == null : found.equals(expected), what + ": found " + found + ", expected " + expected);
    }

    interface Action {
        void run() throws Exception;
    }

    static void refused(Code code, String what, Action action) throws Exception {
        try {
            action.run();
        } catch (KeeperException e) {
            equal(e.code(), code, what);
            return;
        }
        throw new IllegalStateException(what + ": succeeded, expected " + code);
    }

    static byte[] bytes(String s) {
        return s.getBytes(StandardCharsets.UTF_8);
    }

    static String string(byte[] b) {
        return new String(b, StandardCharsets.UTF_8);
    }

    /** Connection states go to `states`, events to `log` as "CREATED /path". */
    static class Recorder implements Watcher {
        final List<String> log = new ArrayList<>();
        final List<KeeperState> states = new ArrayList<>();
        final String[] of;

        /** Events below other paths than these are someone else's business. */
        Recorder(String... of) {
            this.of = of;
        }

        @Override
        public synchronized void process(WatchedEvent event) {
            if (event.getType() == EventType.None) {
                states.add(event.getState());
            } else if (event.getType().name().endsWith("Removed")) {
                return; // made up by the client itself when a watch is removed
            } else if (Arrays.stream(of).anyMatch(p -> event.getPath().startsWith(p))) {
                log.add(event.getType() + " " + event.getPath());
            }
            notifyAll();
        }

        synchronized void awaitState(KeeperState state) throws InterruptedException {
            long end = System.currentTimeMillis() + PATIENCE;
            while (states.isEmpty() || states.get(states.size() - 1) != state) {
                check(System.currentTimeMillis() < end, "not " + state + " in time: " + states);
                wait(100);
            }
        }

        /** Waits for that many events, then for a round trip of `zk` to both sides, then compares. */
        void exactly(ZooKeeper zk, String what, String... expected) throws Exception {
            long end = System.currentTimeMillis() + PATIENCE;
            synchronized (this) {
                while (log.size() < expected.length && System.currentTimeMillis() < end) {
                    wait(100);
                }
            }
            for (String path : of) {
                settle(zk, path);
            }
            synchronized (this) {
                equal(log, Arrays.asList(expected), what);
                log.clear();
            }
        }

        /** As `exactly`, where events of different ensembles have no order among themselves. */
        void each(ZooKeeper zk, String what, String... expected) throws Exception {
            long end = System.currentTimeMillis() + PATIENCE;
            synchronized (this) {
                while (log.size() < expected.length && System.currentTimeMillis() < end) {
                    wait(100);
                }
            }
            for (String path : of) {
                settle(zk, path);
            }
            synchronized (this) {
                List<String> found = new ArrayList<>(log);
                List<String> wanted = new ArrayList<>(Arrays.asList(expected));
                Collections.sort(found);
                Collections.sort(wanted);
                equal(found, wanted, what);
                log.clear();
            }
        }
    }

    /** All events the server has for `zk` at `path` have been through its event thread. */
    static void settle(ZooKeeper zk, String path) throws Exception {
        CountDownLatch done = new CountDownLatch(1);
        zk.sync(path, (rc, p, ctx) -> done.countDown(), null);
        check(done.await(PATIENCE, TimeUnit.MILLISECONDS), "sync of " + path + " not answered");
        CountDownLatch read = new CountDownLatch(1);
        zk.exists(path, false, (rc, p, ctx, stat) -> read.countDown(), null);
        check(read.await(PATIENCE, TimeUnit.MILLISECONDS), "exists of " + path + " not answered");
    }

    static ZooKeeper connect(String address, Recorder recorder) throws Exception {
        ZooKeeper zk = new ZooKeeper(address, 10_000, recorder);
        recorder.awaitState(KeeperState.SyncConnected);
        return zk;
    }

    static String make(ZooKeeper zk, String path) throws Exception {
        return zk.create(path, NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    static void ensure(ZooKeeper zk, String path) throws Exception {
        for (int at = path.indexOf('/', 1); ; at = path.indexOf('/', at + 1)) {
            try {
                make(zk, at < 0 ? path : path.substring(0, at));
            } catch (KeeperException.NodeExistsException e) {
                // as wanted
            }
            if (at < 0) {
                return;
            }
        }
    }

    final String address;
    final String local;
    final String remote;
    final boolean refusesSpanning;
    final Random random;
    final List<String> both;
    final ZooKeeper zk;
    final ZooKeeper writer;
    final Recorder own;

    JavaClient(String[] args) throws Exception {
        address = args[1];
        String name = "/java-" + args[0] + "-" + Long.toHexString(System.nanoTime());
        local = args[2] + name;
        remote = args[3] + name;
        refusesSpanning = args[4].equals("refused");
        random = new Random(Long.parseLong(args[5]));
        both = List.of(local, remote);
        own = new Recorder();
        zk = connect(address, own);
        writer = connect(address, new Recorder());
        for (String path : both) {
            ensure(writer, path);
            settle(zk, path);
        }
    }

    // ---- watches -------------------------------------------------------------------------------

    void persistentOn(String path) throws Exception {
        Recorder r = new Recorder(path);
        String node = path + "/persistent";
        zk.addWatch(node, r, AddWatchMode.PERSISTENT); // the node need not exist
        make(writer, node);
        writer.setData(node, bytes("1"), -1);
        make(writer, node + "/child");
        writer.setData(node, bytes("2"), -1);
        writer.setData(node + "/child", bytes("x"), -1);
        make(writer, node + "/child/grandchild");
        writer.delete(node + "/child/grandchild", -1);
        writer.delete(node + "/child", -1);
        writer.delete(node, -1);
        r.exactly(zk, "persistent watch", "NodeCreated " + node, "NodeDataChanged " + node, "NodeChildrenChanged " + node,
            "NodeDataChanged " + node, "NodeChildrenChanged " + node, "NodeDeleted " + node);
        zk.removeWatches(node, r, WatcherType.Any, false);
        make(writer, node);
        writer.delete(node, -1);
        r.exactly(zk, "after removal of a persistent watch");
    }

    void recursiveOn(String armed, String path) throws Exception {
        Recorder r = new Recorder(path);
        zk.addWatch(armed, r, AddWatchMode.PERSISTENT_RECURSIVE);
        String node = path + "/recursive";
        for (int round = 0; round < 2; round++) {
            make(writer, node);
            make(writer, node + "/deep");
            writer.setData(node + "/deep", bytes("1"), -1);
            writer.delete(node + "/deep", -1);
            writer.delete(node, -1);
            r.exactly(zk, "recursive watch on " + armed, "NodeCreated " + node, "NodeCreated " + node + "/deep",
                "NodeDataChanged " + node + "/deep", "NodeDeleted " + node + "/deep", "NodeDeleted " + node);
        }
        zk.removeWatches(armed, r, WatcherType.Any, false);
        make(writer, node);
        writer.delete(node, -1);
        r.exactly(zk, "after removal of a recursive watch on " + armed);
    }

    void recursiveOnRootSeesBoth() throws Exception {
        Recorder r = new Recorder(local, remote);
        zk.addWatch("/", r, AddWatchMode.PERSISTENT_RECURSIVE);
        List<String> expected = new ArrayList<>();
        for (int round = 0; round < 5; round++) {
            for (String path : both) {
                make(writer, path + "/r" + round);
                expected.add("NodeCreated " + path + "/r" + round);
            }
        }
        r.each(zk, "recursive watch on /", expected.toArray(new String[0]));
        // Own writes as well, each event before the reply of the write that caused it.
        for (String path : both) {
            List<String> order = Collections.synchronizedList(new ArrayList<>());
            Recorder first = new Recorder(path) {
                @Override
                public synchronized void process(WatchedEvent event) {
                    order.add("event");
                }
            };
            zk.addWatch(path + "/r0", first, AddWatchMode.PERSISTENT);
            CountDownLatch done = new CountDownLatch(1);
            zk.setData(path + "/r0", bytes("own"), -1, (rc, p, ctx, stat) -> {
                order.add("reply");
                done.countDown();
            }, null);
            check(done.await(PATIENCE, TimeUnit.MILLISECONDS), "no reply");
            equal(order, List.of("event", "reply"), "own write below " + path);
            zk.removeWatches(path + "/r0", first, WatcherType.Any, false);
        }
        r.each(zk, "own writes", "NodeDataChanged " + local + "/r0", "NodeDataChanged " + remote + "/r0");
        zk.removeWatches("/", r, WatcherType.Any, false);
        for (String path : both) {
            writer.setData(path + "/r0", bytes("after"), -1);
        }
        r.each(zk, "after removal of the recursive watch on /");
    }

    /** Removing one of two overlapping recursive watches leaves the other intact, on either side. */
    void overlapping() throws Exception {
        for (String path : both) {
            for (boolean removeOuter : new boolean[] {true, false}) {
                Recorder outer = new Recorder(path);
                Recorder inner = new Recorder(path);
                String node = path + "/overlap";
                ensure(writer, node);
                settle(zk, path);
                zk.addWatch("/", outer, AddWatchMode.PERSISTENT_RECURSIVE);
                zk.addWatch(node, inner, AddWatchMode.PERSISTENT_RECURSIVE);
                make(writer, node + "/a");
                outer.exactly(zk, "outer of two", "NodeCreated " + node + "/a");
                inner.exactly(zk, "inner of two", "NodeCreated " + node + "/a");
                if (removeOuter) {
                    zk.removeWatches("/", outer, WatcherType.Any, false);
                } else {
                    zk.removeWatches(node, inner, WatcherType.Any, false);
                }
                writer.delete(node + "/a", -1);
                make(writer, path + "/elsewhere");
                writer.delete(path + "/elsewhere", -1);
                if (removeOuter) {
                    inner.exactly(zk, "inner after outer is gone", "NodeDeleted " + node + "/a");
                    outer.exactly(zk, "outer after it is gone");
                    zk.removeWatches(node, inner, WatcherType.Any, false);
                } else {
                    outer.exactly(zk, "outer after inner is gone", "NodeDeleted " + node + "/a",
                        "NodeCreated " + path + "/elsewhere", "NodeDeleted " + path + "/elsewhere");
                    inner.exactly(zk, "inner after it is gone");
                    zk.removeWatches("/", outer, WatcherType.Any, false);
                }
                writer.delete(node, -1);
            }
        }
    }

    void removals() throws Exception {
        for (String path : both) {
            Recorder data = new Recorder(path);
            Recorder more = new Recorder(path);
            Recorder kids = new Recorder(path);
            String node = make(writer, path + "/removals");
            settle(zk, path);
            refused(Code.NOWATCHER, "removal of what was never armed",
                () -> zk.removeAllWatches(node, WatcherType.Any, false));
            zk.getData(node, data, null);
            zk.exists(node, more);
            zk.getChildren(node, kids);
            zk.exists(node + "/missing", more);
            // With another watcher left on the path this is a checkWatches request.
            zk.removeWatches(node, data, WatcherType.Data, false);
            refused(Code.NOWATCHER, "removal of a removed watcher",
                () -> zk.removeWatches(node, data, WatcherType.Data, false));
            refused(Code.NOWATCHER, "removal of the wrong type",
                () -> zk.removeAllWatches(node + "/missing", WatcherType.Children, false));
            zk.removeAllWatches(node, WatcherType.Children, false);
            make(writer, node + "/missing");
            writer.setData(node, bytes("1"), -1);
            more.exactly(zk, "watches that were not removed", "NodeCreated " + node + "/missing", "NodeDataChanged " + node);
            data.exactly(zk, "a removed data watch");
            kids.exactly(zk, "a removed child watch");
            zk.getData(node, data, null);
            zk.getChildren(node, kids);
            zk.removeAllWatches(node, WatcherType.Any, false);
            writer.delete(node + "/missing", -1);
            writer.delete(node, -1);
            data.exactly(zk, "data watch after the removal of all");
            kids.exactly(zk, "child watch after the removal of all");
            // Removal by kind of change, standard watches on a node of each kind.
            zk.exists(node, more);
            zk.removeWatches(node, more, WatcherType.Any, true);
        }
    }

    String watches() throws Exception {
        for (String path : both) {
            persistentOn(path);
            recursiveOn(path, path);
            recursiveOn("/", path);
        }
        String mount = remote.substring(0, remote.indexOf('/', 1));
        recursiveOn(mount, remote);
        recursiveOnRootSeesBoth();
        overlapping();
        removals();
        return "";
    }

    // ---- requests ------------------------------------------------------------------------------

    void ephemerals() throws Exception {
        for (String path : both) {
            zk.create(path + "/e", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            zk.create(path + "/f-", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL);
            equal(zk.exists(path + "/e", false).getEphemeralOwner(), zk.getSessionId(), "owner below " + path);
        }
        TreeSet<String> all = new TreeSet<>();
        for (String path : both) {
            TreeSet<String> here = new TreeSet<>(List.of(path + "/e", path + "/f-0000000001"));
            all.addAll(here);
            equal(new TreeSet<>(zk.getEphemerals(path)), here, "getEphemerals below " + path);
            equal(zk.getEphemerals(path + "/e"), List.of(path + "/e"), "getEphemerals of one");
            equal(writer.getEphemerals(path), List.of(), "another session's ephemerals");
        }
        equal(new TreeSet<>(zk.getEphemerals()), all, "getEphemerals without a prefix");
        equal(new TreeSet<>(zk.getEphemerals("/")), all, "getEphemerals of /");
        for (String path : both) {
            zk.delete(path + "/e", -1);
            zk.delete(path + "/f-0000000001", -1);
        }
        equal(zk.getEphemerals(), List.of(), "getEphemerals at the end");
    }

    void counts() throws Exception {
        for (String path : both) {
            for (int i = 0; i < 3; i++) {
                make(zk, path + "/c" + i);
                make(zk, path + "/c" + i + "/d");
            }
            equal(zk.getAllChildrenNumber(path), 6, "all children below " + path);
            equal(zk.getAllChildrenNumber(path + "/c0"), 1, "all children of one");
            refused(Code.NONODE, "all children of nothing", () -> zk.getAllChildrenNumber(path + "/nothing"));
        }
        check(zk.getAllChildrenNumber("/") > 0, "all children of /");
    }

    void reads() throws Exception {
        for (String path : both) {
            zk.setData(path + "/c0", bytes("zero"), -1);
            List<OpResult> r = zk.multi(List.of(Op.getData(path + "/c0"), Op.getChildren(path + "/c0"),
                Op.getData(path + "/nothing"), Op.getData(path + "/c0/d")));
            equal(string(((OpResult.GetDataResult) r.get(0)).getData()), "zero", "multiRead data");
            equal(((OpResult.GetDataResult) r.get(0)).getStat().getVersion(), 1, "multiRead stat");
            equal(((OpResult.GetChildrenResult) r.get(1)).getChildren(), List.of("d"), "multiRead children");
            equal(((OpResult.ErrorResult) r.get(2)).getErr(), Code.NONODE.intValue(), "multiRead of nothing");
            equal(((OpResult.GetDataResult) r.get(3)).getData().length, 0, "multiRead behind an error");
        }
        List<Op> across = List.of(Op.getData(local + "/c0"), Op.getData(remote + "/c0"));
        if (refusesSpanning) {
            boolean wasRefused;
            try {
                wasRefused = zk.multi(across).stream().anyMatch(r -> r instanceof OpResult.ErrorResult);
            } catch (KeeperException e) {
                wasRefused = e.code() == Code.BADARGUMENTS;
            }
            check(wasRefused, "a multiRead across ensembles was answered with data");
            for (List<String> order : List.of(List.of(local, remote), List.of(remote, local))) {
                refused(Code.BADARGUMENTS, "a multi across ensembles", () -> zk.multi(List.of(
                    Op.setData(order.get(0) + "/c0", bytes("x"), -1), Op.setData(order.get(1) + "/c0", bytes("x"), -1))));
                CountDownLatch done = new CountDownLatch(1);
                List<Integer> codes = new ArrayList<>();
                zk.multi(List.of(Op.check(order.get(0) + "/c0", 1), Op.create(order.get(1) + "/x", NOTHING, Ids.OPEN_ACL_UNSAFE,
                    CreateMode.PERSISTENT), Op.delete(order.get(0) + "/c2/d", -1)), (rc, p, ctx, results) -> {
                    codes.add(rc);
                    results.forEach(r -> codes.add(((OpResult.ErrorResult) r).getErr()));
                    done.countDown();
                }, null);
                check(done.await(PATIENCE, TimeUnit.MILLISECONDS), "no reply to an async multi");
                equal(codes, List.of(-8, 0, -8, -2), "codes of an async multi across ensembles");
            }
        }
        for (String path : both) {
            equal(string(zk.getData(path + "/c0", false, null)), "zero", "data after refusals");
            equal(zk.exists(path + "/x", false), null, "a node of a refused multi");
        }
    }

    String kinds() throws Exception {
        String ttl = "works";
        for (String path : both) {
            Stat stat = new Stat();
            equal(zk.create(path + "/container", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER, stat), path + "/container",
                "container");
            equal(stat.getEphemeralOwner(), 0L, "owner of a container");
            List<OpResult> r = zk.multi(List.of(
                Op.create(path + "/container/x", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.create(path + "/c-", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
                Op.create(path + "/m-", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL)));
            equal(((OpResult.CreateResult) r.get(0)).getPath(), path + "/container/x", "multi create");
            equal(((OpResult.CreateResult) r.get(1)).getPath(), path + "/c-", "multi create container");
            check(((OpResult.CreateResult) r.get(2)).getPath().startsWith(path + "/m-0"), "multi create sequential");
            try {
                equal(zk.create(path + "/ttl", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 3_600_000),
                    path + "/ttl", "ttl");
                equal(stat.getEphemeralOwner(), 0L, "owner of a ttl node");
                String made = zk.create(path + "/ttl-", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL,
                    stat, 3_600_000);
                check(made.startsWith(path + "/ttl-0"), "sequential ttl: " + made);
            } catch (KeeperException.UnimplementedException e) {
                ttl = "disabled on the server"; // an ordered error; the connection must have stayed
            }
        }
        return ttl;
    }

    String requests() throws Exception {
        ephemerals();
        counts();
        reads();
        String ttl = kinds();
        zk.addAuthInfo("digest", bytes("anne:a"));
        TreeSet<String> users = new TreeSet<>();
        zk.whoAmI().forEach(info -> users.add(info.getAuthScheme() + ":" + info.getUser()));
        check(users.contains("digest:anne") && users.stream().anyMatch(u -> u.startsWith("ip:")), "whoAmI: " + users);
        for (String path : both) {
            zk.create(path + "/mine", NOTHING, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            refused(Code.NOAUTH, "a stranger", () -> writer.getData(path + "/mine", false, null));
            zk.getData(path + "/mine", false, null);
            equal(zk.getACL(path + "/mine", null).get(0).getId().getScheme(), "digest", "expanded ACL");
        }
        equal(own.states, List.of(KeeperState.SyncConnected), "connection states");
        return ", \"ttl\": \"" + ttl + "\"";
    }

    // ---- async ---------------------------------------------------------------------------------

    /** Pipelined operations alternating between the sides; replies in order, values as written. */
    String async() throws Exception {
        int total = 3000;
        int[] versions = new int[2];
        String[] values = {"start", "start"};
        for (int side = 0; side < 2; side++) {
            zk.create(both.get(side) + "/a", bytes("start"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        }
        List<Integer> order = new ArrayList<>();
        List<String> wrong = Collections.synchronizedList(new ArrayList<>());
        CountDownLatch done = new CountDownLatch(total);
        for (int i = 0, left = 0, side = 0; i < total; i++) {
            if (left-- == 0) {
                side = 1 - side;
                left = random.nextInt(4);
            }
            int index = i;
            String path = both.get(side) + "/a";
            String expected = values[side];
            int version = versions[side];
            switch (random.nextInt(7)) {
                case 0 -> {
                    values[side] = "v" + i;
                    int next = ++versions[side];
                    zk.setData(path, bytes("v" + i), -1, (rc, p, ctx, stat) -> {
                        order.add(index);
                        if (rc != 0 || stat.getVersion() != next) {
                            wrong.add(index + " set rc=" + rc + " expected version " + next);
                        }
                        done.countDown();
                    }, null);
                }
                case 1 -> zk.setData(path, NOTHING, version + 5, (rc, p, ctx, stat) -> {
                    order.add(index);
                    if (rc != Code.BADVERSION.intValue()) {
                        wrong.add(index + " bad set rc=" + rc);
                    }
                    done.countDown();
                }, null);
                case 2 -> zk.exists(path + "/none", false, (rc, p, ctx, stat) -> {
                    order.add(index);
                    if (rc != Code.NONODE.intValue()) {
                        wrong.add(index + " exists rc=" + rc);
                    }
                    done.countDown();
                }, null);
                case 3 -> zk.sync(path, (rc, p, ctx) -> {
                    order.add(index);
                    if (rc != 0) {
                        wrong.add(index + " sync rc=" + rc);
                    }
                    done.countDown();
                }, null);
                case 4 -> {
                    values[side] = "m" + i;
                    versions[side]++;
                    zk.multi(List.of(Op.check(path, version), Op.setData(path, bytes("m" + i), version)), (rc, p, ctx, results) -> {
                        order.add(index);
                        if (rc != 0 || ((OpResult.SetDataResult) results.get(1)).getStat().getVersion() != version + 1) {
                            wrong.add(index + " multi rc=" + rc);
                        }
                        done.countDown();
                    }, null);
                }
                default -> zk.getData(path, false, (rc, p, ctx, data, stat) -> {
                    order.add(index);
                    if (rc != 0 || !string(data).equals(expected) || stat.getVersion() != version) {
                        wrong.add(index + " get rc=" + rc + " expected " + expected + "@" + version);
                    }
                    done.countDown();
                }, null);
            }
        }
        check(done.await(200, TimeUnit.SECONDS), done.getCount() + " replies are missing");
        for (int i = 0; i < total; i++) {
            equal(order.get(i), i, "completion number " + i);
        }
        equal(wrong, List.of(), "wrong results");
        return ", \"ops\": " + total;
    }

    // ---- reconnect -----------------------------------------------------------------------------

    /** Cuts the socket under the client, as upstream's own tests do. */
    static void cut(ZooKeeper zk) throws Exception {
        Field cnxn = ZooKeeper.class.getDeclaredField("cnxn");
        cnxn.setAccessible(true);
        Field thread = cnxn.get(zk).getClass().getDeclaredField("sendThread");
        thread.setAccessible(true);
        Object sender = thread.get(cnxn.get(zk));
        Method close = sender.getClass().getDeclaredMethod("testableCloseSocket");
        close.setAccessible(true);
        close.invoke(sender);
    }

    /**
     * Watches on both sides are set again by the client itself (SetWatches, and SetWatches2 with
     * persistent ones). What changes while it is away, or just before or after, is told exactly once.
     */
    void cutOnce(boolean persistent) throws Exception {
        String tag = persistent ? "/p" : "/s";
        List<Recorder> one = new ArrayList<>();
        List<Recorder> lasting = new ArrayList<>();
        for (String path : both) {
            make(writer, path + tag);
            make(writer, path + tag + "/data");
            make(writer, path + tag + "/same");
            make(writer, path + tag + "/doomed");
            make(writer, path + tag + "/kids");
            settle(zk, path);
            Recorder r = new Recorder(path);
            one.add(r);
            zk.getData(path + tag + "/data", r, null);
            zk.getData(path + tag + "/same", r, null);
            zk.exists(path + tag + "/doomed", r);
            zk.exists(path + tag + "/late", r);
            zk.exists(path + tag + "/never", r);
            zk.getChildren(path + tag + "/kids", r);
            Recorder l = new Recorder(path);
            lasting.add(l);
            if (persistent) {
                zk.addWatch(path + tag + "/same", l, AddWatchMode.PERSISTENT);
            }
            zk.create(path + tag + "/ephemeral", NOTHING, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        }
        Recorder root = new Recorder(local, remote);
        if (persistent) {
            zk.addWatch("/", root, AddWatchMode.PERSISTENT_RECURSIVE);
        }
        long session = zk.getSessionId();
        int before = own.states.size();
        cut(zk);
        for (String path : both) { // races with the reconnect; every interleaving must do
            writer.setData(path + tag + "/data", bytes("changed"), -1);
            writer.delete(path + tag + "/doomed", -1);
            make(writer, path + tag + "/late");
            make(writer, path + tag + "/kids/new");
        }
        synchronized (own) {
            long end = System.currentTimeMillis() + PATIENCE;
            while (own.states.size() < before + 2) {
                check(System.currentTimeMillis() < end, "no reconnect: " + own.states);
                own.wait(100);
            }
        }
        equal(zk.getSessionId(), session, "session after a reconnect");
        equal(own.states.subList(before, before + 2), List.of(KeeperState.Disconnected, KeeperState.SyncConnected), "states");
        for (int side = 0; side < 2; side++) {
            String base = both.get(side) + tag;
            one.get(side).each(zk, "one-shot watches over a reconnect", "NodeDataChanged " + base + "/data",
                "NodeDeleted " + base + "/doomed", "NodeCreated " + base + "/late", "NodeChildrenChanged " + base + "/kids");
            Stat ephemeral = zk.exists(base + "/ephemeral", false);
            equal(ephemeral.getEphemeralOwner(), session, "the ephemeral after a reconnect");
        }
        root.log.clear(); // persistent watches get no catch-up, some of the changes may be missing
        for (int side = 0; side < 2; side++) {
            String base = both.get(side) + tag;
            writer.setData(base + "/same", bytes("changed"), -1);
            make(writer, base + "/never");
            one.get(side).each(zk, "watches armed again", "NodeDataChanged " + base + "/same", "NodeCreated " + base + "/never");
            if (persistent) {
                writer.setData(base + "/same", bytes("again"), -1);
                lasting.get(side).exactly(zk, "a persistent watch armed again", "NodeDataChanged " + base + "/same",
                    "NodeDataChanged " + base + "/same");
                zk.removeAllWatches(base + "/same", WatcherType.Any, false);
            }
            zk.delete(base + "/ephemeral", -1);
        }
        if (persistent) {
            List<String> expected = new ArrayList<>();
            for (String path : both) {
                expected.addAll(List.of("NodeDataChanged " + path + tag + "/same", "NodeCreated " + path + tag + "/never",
                    "NodeDataChanged " + path + tag + "/same", "NodeDeleted " + path + tag + "/ephemeral"));
            }
            root.each(zk, "the recursive watch on / armed again", expected.toArray(new String[0]));
            zk.removeWatches("/", root, WatcherType.Any, false);
        }
    }

    String reconnect() throws Exception {
        cutOnce(false);
        cutOnce(true);
        return ", \"reconnects\": 2";
    }

    // ---- main ----------------------------------------------------------------------------------

    void clean() throws Exception {
        writer.addAuthInfo("digest", bytes("anne:a"));
        for (String path : both) {
            settle(writer, path);
            org.apache.zookeeper.ZKUtil.deleteRecursive(writer, path);
        }
    }

    public static void main(String[] args) {
        try {
            JavaClient c = new JavaClient(args);
            String result = switch (args[0]) {
                case "watches" -> c.watches();
                case "requests" -> c.requests();
                case "async" -> c.async();
                case "reconnect" -> c.reconnect();
                default -> throw new IllegalArgumentException(args[0]);
            };
            c.zk.close();
            c.clean();
            c.writer.close();
            System.out.println("{\"part\": \"" + args[0] + "\"" + result + "}");
            System.exit(0);
        } catch (Throwable t) {
            t.printStackTrace();
            System.err.println("FAILED JavaClient " + args[0] + ": " + t.getMessage());
            System.exit(1);
        }
    }
}
