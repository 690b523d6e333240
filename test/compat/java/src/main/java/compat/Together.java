package compat;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Runs the same work in several threads. */
final class Together {
  private Together() {}

  interface Work {
    void run(int who) throws Exception;
  }

  /** Waits for all threads and throws the first failure of any. */
  static void run(int threads, Work work) throws InterruptedException {
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    List<Future<?>> futures = new ArrayList<>();
    for (int i = 0; i < threads; i++) {
      int who = i;
      futures.add(
          pool.submit(
              () -> {
                work.run(who);
                return null;
              }));
    }
    CheckFailed first = null;
    for (Future<?> future : futures) {
      try {
        future.get();
      } catch (ExecutionException e) {
        first = first != null ? first : failure(e.getCause());
      }
    }
    pool.shutdown();
    if (first != null) {
      throw first;
    }
  }

  private static CheckFailed failure(Throwable cause) {
    return cause instanceof CheckFailed f ? f : new CheckFailed("in a thread", cause);
  }
}
