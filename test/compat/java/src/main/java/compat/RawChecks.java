package compat;

import static compat.Keys.bytes;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Random;
import java.util.concurrent.atomic.AtomicInteger;
import org.tikv.raw.RawKVClient;
import org.tikv.shade.com.google.protobuf.ByteString;

/** The checks of the raw commands. The Java client has no reverse scan. */
final class RawChecks {
  private static final int THREADS = 8;

  private final RawKVClient client;
  private final boolean ttl; // keys may expire
  private final long seed;

  RawChecks(RawKVClient client, boolean ttl, long seed) {
    this.client = client;
    this.ttl = ttl;
    this.seed = seed;
  }

  private interface Check {
    void run(Keys keys) throws Exception;
  }

  void run() throws Exception {
    step("single key", this::singleKey);
    step("absent keys", this::absentKeys);
    step("empty value", this::emptyValue);
    step("binary keys", this::binaryKeys);
    step("long keys", this::longKeys);
    step("scan bounds", this::scanBounds);
    step("big values", this::bigValues);
    step("batches", this::batches);
    step("pages", this::pages);
    step("concurrent threads", this::concurrentThreads);
    step("shared key", this::sharedKey);
    step("random, seed " + seed, this::random);
    MoreChecks more = new MoreChecks(client);
    step("compare and set", more::compareAndSet);
    step("counter", more::counter);
    step("delete range", more::deleteRange);
    step("batch scan", more::batchScan);
    step("ingest", more::ingest);
    if (ttl) {
      step("time to live", more::timeToLive);
    } else {
      step("no time to live", more::noTimeToLive);
    }
  }

  /** What needs no compare and set, and does not take long. */
  void runNotAtomic() throws Exception {
    step("not atomic: single key", this::singleKey);
    step("not atomic: absent keys", this::absentKeys);
    step("not atomic: batches", this::batches);
    step("not atomic: scan bounds", this::scanBounds);
    step("not atomic: random, seed " + seed, this::random);
    MoreChecks more = new MoreChecks(client);
    step("not atomic: delete range", more::deleteRange);
    step("not atomic: no compare and set", more::noCompareAndSet);
    if (ttl) {
      step("not atomic: time to live", more::expiry);
    }
  }

  private void step(String name, Check check) throws Exception {
    System.out.println("kvcheck: " + name);
    Keys keys = new Keys(client, name);
    try {
      check.run(keys);
      keys.removeAll();
    } catch (CheckFailed e) {
      throw new CheckFailed(name + ": " + e.getMessage());
    } catch (RuntimeException e) {
      throw new CheckFailed(name, e);
    }
  }

  private void singleKey(Keys k) {
    ByteString key = k.key("k");
    k.expect(key, null);
    for (int i = 0; i < 50; i++) {
      k.put(key, bytes("value " + i));
      k.expect(key, bytes("value " + i));
    }
    k.delete(key);
    k.expect(key, null);
    k.put(key, bytes("again"));
    k.expect(key, bytes("again"));
  }

  private void absentKeys(Keys k) {
    k.delete(k.key("never stored"));
    k.expect(k.key("never stored"), null);
    k.put(k.key("b"), bytes("x"));
    for (String absent : List.of("a", "b\0", "c")) {
      k.expect(k.key(absent), null);
    }
    List<ByteString> keys = List.of(k.key("x"), k.key("y"));
    k.expectBatch(keys, Map.of());
    k.batchDelete(keys);
    k.delete(k.key("b"));
    k.delete(k.key("b"));
    k.expect(k.key("b"), null);
  }

  private void emptyValue(Keys k) {
    ByteString key = k.key("empty");
    k.put(key, ByteString.EMPTY);
    k.expect(key, ByteString.EMPTY);
    k.expectBatch(List.of(key, k.key("none")), Map.of(key, ByteString.EMPTY));
    k.put(key, bytes("full"));
    k.expect(key, bytes("full"));
    k.put(key, ByteString.EMPTY);
    k.expect(key, ByteString.EMPTY);
  }

  private void binaryKeys(Keys k) {
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (char b = 0; b < 256; b++) {
      model.put(k.key(String.valueOf(b)), bytes("v" + b + "\0\u00ff"));
    }
    for (String suffix :
        List.of(
            "", "\0\0", "\0\0\0", "\0\u00ff", "\0\u00ff\0", "a\0", "a\0\0", "a\u00ff",
            "\u00ff\0", "\u00ff\u00ff", "\u00ff\u00ff\u00ff", "01234567", "01234567\0",
            "0123456\u00ff8")) {
      model.put(k.key(suffix), bytes(suffix));
    }
    k.storeAndScan(model);
    for (ByteString key : model.keySet()) {
      k.expectScan(model, key, k.end, 1);
    }
  }

  private void longKeys(Keys k) {
    Random random = new Random(seed);
    String common = "L".repeat(2100 - k.prefix().size());
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (int i = 0; i < 24; i++) {
      model.put(k.key(common).concat(noise(random, 900)), bytes("value " + i));
    }
    for (int zeros : new int[] {0, 1, 899}) {
      model.put(k.key(common + "\0".repeat(zeros)), bytes(zeros + " zeros"));
    }
    k.storeAndScan(model);
    ByteString gone = model.firstKey();
    k.delete(gone);
    model.remove(gone);
    k.expect(gone, null);
    k.expectAll(model);
  }

  private static ByteString noise(Random random, int size) {
    byte[] buffer = new byte[size];
    random.nextBytes(buffer);
    return ByteString.copyFrom(buffer);
  }

  private void bigValues(Keys k) {
    int mib = 1 << 20;
    ByteString noise = noise(new Random(seed), mib);
    NavigableMap<ByteString, ByteString> model = Keys.model();
    model.put(k.key("noise"), noise);
    model.put(k.key("zeros"), ByteString.copyFrom(new byte[mib]));
    model.put(k.key("odd size"), noise.substring(3));
    model.put(k.key("2000"), noise.substring(0, 2000));
    model.put(k.key("9000"), noise.substring(0, 9000));
    model.put(k.key("one"), bytes("\7"));
    k.storeAndScan(model);
    k.expectBatch(new ArrayList<>(model.keySet()), model);
    k.put(k.key("noise"), bytes("small now"));
    k.expect(k.key("noise"), bytes("small now"));
    k.put(k.key("one"), noise);
    k.expect(k.key("one"), noise);
  }

  private void batches(Keys k) {
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (String round : List.of("old", "new")) {
      for (int i = 0; i < 1000; i++) {
        model.put(k.key(String.format("%06d", i * 2)), bytes(round + i));
      }
      k.batchPut(model);
    }
    List<ByteString> keys = new ArrayList<>(model.keySet());
    k.expectBatch(keys, model);
    keys.add(k.key("000001"));
    k.expectBatch(keys, model);

    List<ByteString> odd = new ArrayList<>();
    for (int i = 1; i < 1000; i += 2) {
      odd.add(keys.get(i));
    }
    k.batchDelete(odd);
    odd.forEach(model::remove);
    k.expectBatch(keys, model);
    k.expectBatch(odd, Map.of());
    k.expectAll(model);
  }

  private void scanBounds(Keys k) {
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (String suffix : List.of("b", "d", "f", "h")) {
      model.put(k.key(suffix), bytes(suffix));
    }
    k.storeAndScan(model);
    List<ByteString> points = new ArrayList<>(List.of(k.prefix(), k.end));
    for (String suffix : List.of("a", "b", "b\0", "c", "d", "h", "h\0", "k")) {
      points.add(k.key(suffix));
    }
    points.sort(ByteString.unsignedLexicographicalComparator());
    for (int i = 0; i < points.size(); i++) {
      for (int j = i + 1; j < points.size(); j++) {
        for (int limit : new int[] {1, 2, 4, 5, 100}) {
          k.expectScan(model, points.get(i), points.get(j), limit);
        }
      }
    }
  }

  private void pages(Keys k) {
    int count = Keys.SCAN_LIMIT + 1500;
    NavigableMap<ByteString, ByteString> model = Keys.model();
    Map<ByteString, ByteString> some = new HashMap<>();
    for (int i = 0; i < count; i++) {
      ByteString key = k.key(String.format("%08d", i));
      model.put(key, bytes("v" + i));
      some.put(key, bytes("v" + i));
      if (some.size() == 1000 || i == count - 1) {
        k.batchPut(some);
        some.clear();
      }
    }
    List<ByteString> keys = new ArrayList<>(model.keySet());
    for (int page : new int[] {Keys.SCAN_LIMIT, 1000}) {
      for (int start = 0; start < count; start += page) {
        k.expectScan(model, keys.get(start), k.end, page);
      }
    }
  }

  private void concurrentThreads(Keys k) throws InterruptedException {
    int count = 60;
    Together.run(
        THREADS,
        who -> {
          for (int i = 0; i < count; i++) {
            ByteString key = k.key(String.format("%04d/%d", i, who));
            k.expect(key, null);
            k.put(key, bytes("first"));
            k.put(key, bytes(i + " of " + who));
            if (i % 3 == 0) {
              k.delete(key);
              k.expect(key, null);
            }
          }
        });
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (int i = 0; i < count; i++) {
      for (int who = 0; who < THREADS && i % 3 != 0; who++) {
        model.put(k.key(String.format("%04d/%d", i, who)), bytes(i + " of " + who));
      }
    }
    k.expectAll(model);
  }

  /**
   * Writers overwrite one key and readers look: the writes of one writer may never be seen in a
   * falling order.
   */
  private void sharedKey(Keys k) throws InterruptedException {
    int writes = 60;
    ByteString key = k.key("shared");
    k.put(key, bytes("0 0"));
    AtomicInteger finished = new AtomicInteger();
    Together.run(
        THREADS,
        who -> {
          Map<Integer, Integer> last = new HashMap<>();
          if (who % 2 == 0) {
            try {
              for (int i = 1; i <= writes; i++) {
                k.put(key, bytes(who + " " + i));
                last.put(who, i);
                look(k, key, last);
              }
            } finally {
              finished.incrementAndGet();
            }
            return;
          }
          while (finished.get() < THREADS / 2) {
            look(k, key, last);
          }
        });
    Keys.same("number of the write that stayed", look(k, key, new HashMap<>()), writes);
  }

  private static int look(Keys k, ByteString key, Map<Integer, Integer> last) {
    String text = k.get(key).map(ByteString::toStringUtf8).orElse("");
    if (!text.matches("\\d+ \\d+")) {
      throw new CheckFailed("the shared key reads '" + text + "', which nobody wrote");
    }
    String[] words = text.split(" ");
    int number = Integer.parseInt(words[1]);
    Integer before = last.put(Integer.valueOf(words[0]), number);
    if (before != null && number < before) {
      throw new CheckFailed("saw write " + number + " of writer " + words[0] + " after " + before);
    }
    return number;
  }

  private void random(Keys k) {
    Random random = new Random(seed);
    NavigableMap<ByteString, ByteString> model = Keys.model();
    for (int i = 0; i < 2500; i++) {
      ByteString key = randomKey(k, random);
      switch (random.nextInt(10)) {
        case 0, 1, 2 -> {
          ByteString value = noise(random, random.nextInt(40));
          k.put(key, value);
          model.put(key, value);
        }
        case 3 -> {
          k.delete(key);
          model.remove(key);
        }
        case 4 -> randomBatch(k, random, model);
        case 5, 6, 7 -> k.expect(key, model.get(key));
        default -> {
          ByteString other = randomKey(k, random);
          List<ByteString> ends = new ArrayList<>(List.of(key, other));
          ends.sort(ByteString.unsignedLexicographicalComparator());
          if (!key.equals(other)) {
            k.expectScan(model, ends.get(0), ends.get(1), 1 + random.nextInt(30));
          }
        }
      }
    }
    k.expectAll(model);
  }

  private static ByteString randomKey(Keys k, Random random) {
    StringBuilder suffix = new StringBuilder();
    for (int size = random.nextInt(4); size > 0; size--) {
      suffix.append("\0ab\u00ff".charAt(random.nextInt(4)));
    }
    return k.key(suffix.toString());
  }

  /** Each key at most once, because the order inside a request is the client's. */
  private static void randomBatch(
      Keys k, Random random, NavigableMap<ByteString, ByteString> model) {
    Map<ByteString, ByteString> chosen = new HashMap<>();
    for (int i = random.nextInt(12); i >= 0; i--) {
      chosen.put(randomKey(k, random), bytes(String.valueOf(random.nextInt())));
    }
    List<ByteString> keys = new ArrayList<>(chosen.keySet());
    Collections.shuffle(keys, random);
    switch (random.nextInt(3)) {
      case 0 -> {
        k.batchPut(chosen);
        model.putAll(chosen);
      }
      case 1 -> {
        k.batchDelete(keys);
        keys.forEach(model::remove);
      }
      default -> {
        Map<ByteString, ByteString> want = new HashMap<>(model);
        want.keySet().retainAll(chosen.keySet());
        k.expectBatch(keys, want);
      }
    }
  }
}
