import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** The stock Java client as a puppet: see puppet.py, whose words and answers these are. */
public class Puppet {
    /** One for all, or each would be told of each change of state. */
    static final Watcher TOLD = Puppet::told;
    static final CountDownLatch connected = new CountDownLatch(1);

    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }

    static void told(WatchedEvent event) {
        say(event.getPath() == null
            ? "! state " + event.getState()
            : "! event " + event.getType() + " " + event.getPath());
        connected.countDown();
    }

    static String obey(ZooKeeper zk, String[] words) throws Exception {
        String path = words.length > 2 ? words[2] : null;
        switch (words[1]) {
            case "session":
                return Long.toHexString(zk.getSessionId());
            case "create":
                return zk.create(path, words[3].getBytes(StandardCharsets.UTF_8), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            case "ephemeral":
                return zk.create(path, new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            case "set":
                return "" + zk.setData(path, words[3].getBytes(StandardCharsets.UTF_8), -1).getVersion();
            case "get":
                return new String(zk.getData(path, false, null), StandardCharsets.UTF_8);
            case "delete":
                zk.delete(path, -1);
                return "ok";
            case "owner": {
                Stat stat = zk.exists(path, false);
                return stat == null ? "none" : Long.toHexString(stat.getEphemeralOwner());
            }
            case "watch":
                return zk.exists(path, TOLD) == null ? "none" : "there";
            case "watchchildren":
                return "" + zk.getChildren(path, TOLD).size();
            case "watchbelow":
                zk.addWatch(path, TOLD, AddWatchMode.PERSISTENT_RECURSIVE);
                return "ok";
            case "stop":
                zk.close();
                return "ok";
            default:
                return "unknown";
        }
    }

    public static void main(String[] args) throws Exception {
        ZooKeeper zk = new ZooKeeper(args[0], (int) (1000 * Double.parseDouble(args[1])), TOLD);
        BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
        connected.await();
        say("ready");
        for (String line; (line = orders.readLine()) != null;) {
            String[] words = line.split(" ");
            String result;
            try {
                result = obey(zk, words);
            } catch (KeeperException e) {
                result = e.getClass().getSimpleName();
            }
            say("= " + words[0] + " " + result);
        }
        System.exit(0);
    }
}
