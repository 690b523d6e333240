package compat;

import java.util.List;
import org.tikv.common.TiConfiguration;
import org.tikv.common.TiSession;
import org.tikv.raw.RawKVClient;
import org.tikv.shade.com.google.protobuf.ByteString;
import org.tikv.txn.KVClient;

/**
 * Asks everything of the raw commands, of transactions, and of the timestamps, through the Java
 * client.
 *
 * <p>Arguments: kvcheck, tso, txncheck; none means all; ride works while nodes
 * fail, until its input ends; idle and seconds do nothing for so long and work on; die, a moment
 * and a prefix are the client that is killed in a commit. TIKV_PD names the PD endpoints, separated
 * by commas, TIKV_API what the store speaks: V1 (if it is not set), V1TTL or V2. The first check
 * that fails is named and ends the program.
 */
public final class Main {
  /**
   * Behind the keys of all other checks: this client scans to the end of the region, and never
   * gets past what a dead client prewrote there for an async commit.
   */
  private static final String TXN_PREFIX = "compat/~java-txn/";

  private static final long TLS_TRY_MS = 3000;

  private Main() {}

  public static void main(String[] args) throws Exception {
    String endpoints = System.getenv("TIKV_PD");
    if (endpoints == null || endpoints.isEmpty()) {
      System.err.println("TIKV_PD is not set");
      System.exit(2);
    }
    String[] parts = args.length > 0 ? args : new String[] {"kvcheck", "tso", "txncheck"};
    if (parts[0].equals("die")) {
      try (TiSession session = transactional(endpoints)) {
        Killed.die(session, parts[1], parts[2]);
      }
    }
    boolean idles = parts[0].equals("idle");
    for (String part : idles ? List.of("idle") : List.of(parts)) {
      try {
        if (idles) {
          idle(endpoints, Long.parseLong(parts[1]));
        } else {
          run(part, endpoints);
        }
      } catch (CheckFailed e) {
        System.err.println(part + ": " + e.getMessage());
        if (e.getCause() != null) {
          e.getCause().printStackTrace();
        }
        System.exit(1);
      } catch (Exception e) {
        System.err.println(part + ": " + e);
        e.printStackTrace();
        System.exit(1);
      }
      System.out.println(part + ": ok");
    }
    System.exit(0); // threads of the client outlive its session
  }

  private static void run(String part, String endpoints) throws Exception {
    switch (part) {
      case "kvcheck" -> kvcheck(endpoints);
      case "tso" -> tso(endpoints);
      case "txncheck" -> txncheck(endpoints);
      case "ride" -> new Ride(endpoints).run();
      default -> throw new CheckFailed("no such part");
    }
  }

  /**
   * Once as the client is without more, once after its own warm-up calls, and in short in the
   * mode that is its default, in which it has no compare and set.
   */
  private static void kvcheck(String endpoints) throws Exception {
    String api = System.getenv().getOrDefault("TIKV_API", "V1");
    if (!List.of("V1", "V1TTL", "V2").contains(api)) {
      throw new CheckFailed("TIKV_API is " + api);
    }
    kvcheck(endpoints, api, true, false);
    kvcheck(endpoints, api, true, true);
    kvcheck(endpoints, api, false, false);
  }

  private static void kvcheck(String endpoints, String api, boolean atomic, boolean warmUp)
      throws Exception {
    TiConfiguration conf = secured(TiConfiguration.createRawDefault(endpoints));
    conf.setEnableAtomicForCAS(atomic);
    if (api.equals("V2")) {
      conf.setApiVersion(TiConfiguration.ApiVersion.V2);
    }
    conf.setWarmUpEnable(warmUp);
    try (TiSession session = TiSession.create(conf);
        RawKVClient client = session.createRawClient()) {
      RawChecks checks = new RawChecks(client, !api.equals("V1"), System.nanoTime());
      if (atomic) {
        checks.run();
      } else {
        checks.runNotAtomic();
      }
    }
  }

  /**
   * With TLS if TIKV_CA, TIKV_CERT and TIKV_KEY name files. Until Java's own is compiled, a big
   * value takes longer than the 200 ms that the client gives a try unless told otherwise.
   */
  static TiConfiguration secured(TiConfiguration conf) {
    if (System.getenv("TIKV_CA") != null) {
      conf.setTlsEnable(true);
      conf.setTimeout(TLS_TRY_MS);
      conf.setTrustCertCollectionFile(System.getenv("TIKV_CA"));
      conf.setKeyCertChainFile(System.getenv("TIKV_CERT"));
      conf.setKeyFile(System.getenv("TIKV_KEY"));
    }
    return conf;
  }

  private static TiSession transactional(String endpoints) {
    return TiSession.create(secured(TiConfiguration.createDefault(endpoints)));
  }

  private static void tso(String endpoints) throws Exception {
    try (TiSession session = transactional(endpoints)) {
      TimestampCheck.run(session, 16, 200);
    }
  }

  private static void idle(String endpoints, long seconds) throws Exception {
    TiConfiguration conf = secured(TiConfiguration.createRawDefault(endpoints));
    try (TiSession rawSession = TiSession.create(conf);
        RawKVClient raw = rawSession.createRawClient();
        TiSession session = transactional(endpoints);
        KVClient client = session.createKVClient()) {
      ByteString key = Keys.bytes("compat/java/" + System.nanoTime() + "/idle");
      TxnChecks checks = new TxnChecks(session, client, TXN_PREFIX + System.nanoTime() + "/");
      raw.put(key, Keys.bytes("before"));
      checks.beforeIdling();

      Thread.sleep(seconds * 1000);

      Keys.same("raw get", raw.get(key).orElse(null), Keys.bytes("before"));
      raw.put(key, Keys.bytes("after"));
      Keys.same("raw get", raw.get(key).orElse(null), Keys.bytes("after"));
      raw.delete(key);
      checks.afterIdling();
    }
  }

  private static void txncheck(String endpoints) throws Exception {
    try (TiSession session = transactional(endpoints);
        KVClient client = session.createKVClient()) {
      new TxnChecks(session, client, TXN_PREFIX + System.nanoTime() + "/").run();
    }
  }
}
