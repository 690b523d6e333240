//! The checks of transactions.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tikv_client::transaction::{HeartbeatOption, ResolveLocksOptions};
use tikv_client::{
    CheckLevel, Error, KvPair, ProtoKeyError, Timestamp, TimestampExt, Transaction,
    TransactionClient, TransactionOptions,
};

use crate::killed::Killed;
use crate::model::{nanos, same, Model, Pairs, Random};
use crate::Outcome;

/// A pass of one check over the keys below its own prefix.
#[derive(Clone)]
pub struct Run {
    pub client: std::sync::Arc<TransactionClient>,
    pub prefix: Vec<u8>,
}

pub fn text<T>(result: tikv_client::Result<T>, what: &str) -> Result<T, String> {
    result.map_err(|e| format!("{what}: {e}"))
}

fn sorted(list: impl Iterator<Item = KvPair>) -> Pairs {
    let mut pairs: Pairs = list.map(|KvPair(key, value)| (key.into(), value)).collect();
    pairs.sort();
    pairs
}

impl Run {
    pub fn key(&self, suffix: impl AsRef<[u8]>) -> Vec<u8> {
        [&self.prefix, suffix.as_ref()].concat()
    }

    /// The first key behind all of ours.
    pub fn end(&self) -> Vec<u8> {
        let mut end = self.prefix.clone();
        *end.last_mut().unwrap() += 1;
        end
    }

    pub async fn now(&self) -> Result<Timestamp, String> {
        text(self.client.current_timestamp().await, "timestamp")
    }

    pub async fn begin(&self, options: TransactionOptions) -> Result<Transaction, String> {
        let options = options.drop_check(CheckLevel::None);
        text(self.client.begin_with_options(options).await, "begin")
    }

    /// Commits pairs in one transaction and gives its commit timestamp.
    /// The client commits secondary keys behind the caller's back.  A pessimistic lock that
    /// meets one of them waits for it and then fails by a write conflict, which this client
    /// leaves to the caller; so they are read, which ends their locks.
    pub async fn store(&self, model: &Model) -> Result<Timestamp, String> {
        let mut txn = self.begin(TransactionOptions::new_optimistic()).await?;
        for (key, value) in model {
            text(txn.put(key.clone(), value.clone()).await, "put")?;
        }
        let commit = text(txn.commit().await, "commit")?.ok_or("no commit timestamp")?;
        let options = TransactionOptions::new_optimistic().read_only();
        let mut snapshot = self.client.snapshot(commit.clone(), options);
        let got = text(snapshot.batch_get(model.keys().cloned()).await, "batch get")?.count();
        same(got, model.len(), "pairs stored")?;
        Ok(commit)
    }

    pub async fn expect_at(&self, at: Timestamp, key: &[u8], want: Option<&[u8]>) -> Outcome {
        let options = TransactionOptions::new_optimistic().read_only();
        let got = self.client.snapshot(at, options).get(key.to_vec()).await;
        same(text(got, "get")?.as_deref(), want, "get")
    }

    pub async fn expect(&self, key: &[u8], want: Option<&str>) -> Outcome {
        self.expect_at(self.now().await?, key, want.map(str::as_bytes)).await
    }

    /// Reads everything at a timestamp: in one request, and by scans both ways that ask for
    /// no more than there is, since release 0.4 of the client would scan on and on.
    pub async fn expect_model(&self, at: Timestamp, model: &Model) -> Outcome {
        let options = TransactionOptions::new_optimistic().read_only();
        let mut snapshot = self.client.snapshot(at, options);
        let mut keys: Vec<Vec<u8>> = model.keys().cloned().collect();
        keys.push(self.key("no such key"));
        let want: Pairs = model.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let got = text(snapshot.batch_get(keys).await, "batch get")?;
        same(sorted(got), want.clone(), "batch get")?;
        if model.is_empty() {
            return Ok(());
        }
        let (low, high, limit) = (self.prefix.clone(), self.end(), model.len() as u32);
        let got = text(snapshot.scan(low.clone()..high.clone(), limit).await, "scan")?;
        let got: Pairs = got.map(|KvPair(k, v)| (k.into(), v)).collect();
        same(got, want.clone(), "scan")?;
        let got = text(snapshot.scan_reverse(low.clone()..high.clone(), limit).await, "reverse")?;
        let got: Pairs = got.map(|KvPair(k, v)| (k.into(), v)).collect();
        same(got, want.iter().rev().cloned().collect(), "reverse scan")?;
        let got = text(snapshot.scan_keys(low..high, limit).await, "scan of keys")?;
        let got: Vec<Vec<u8>> = got.map(Into::into).collect();
        same(got, want.into_iter().map(|(k, _)| k).collect(), "scan of keys")
    }
}

/// The key errors inside an error.
pub fn key_errors(error: &Error) -> Vec<&ProtoKeyError> {
    match error {
        Error::KeyError(e) => vec![e],
        Error::MultipleKeyErrors(list) | Error::ExtractedErrors(list) => {
            list.iter().flat_map(key_errors).collect()
        }
        Error::UndeterminedError(e) => key_errors(e),
        Error::PessimisticLockError { inner, .. } => key_errors(inner),
        _ => vec![],
    }
}

pub fn is_conflict(error: &Error) -> bool {
    key_errors(error).iter().any(|e| e.conflict.is_some())
}

fn is_deadlock(error: &Error) -> bool {
    key_errors(error).iter().any(|e| e.deadlock.is_some())
}

/// Who waits for whom over which key, out of a deadlock's error; the last edge is the one
/// that closed the ring.
fn wait_chain(error: &Error) -> Vec<(u64, u64, Vec<u8>)> {
    let found = key_errors(error).into_iter().find_map(|e| e.deadlock.as_ref());
    let chain = found.map(|d| d.wait_chain.as_slice()).unwrap_or_default();
    chain.iter().map(|e| (e.txn, e.wait_for_txn, e.key.clone())).collect()
}

fn is_collected(error: &Error) -> bool {
    key_errors(error).iter().any(|e| e.abort.contains("TxnAbortedByGC"))
}

fn exists(error: &Error) -> bool {
    matches!(error, Error::DuplicateKeyInsertion)
        || key_errors(error).iter().any(|e| e.already_exist.is_some())
}

fn refused<T>(result: tikv_client::Result<T>, expected: fn(&Error) -> bool, what: &str) -> Outcome {
    match result {
        Ok(_) => Err(format!("{what}: succeeded")),
        Err(e) if expected(&e) => Ok(()),
        Err(e) => Err(format!("{what}: another error: {e:?}")),
    }
}

pub fn every_way() -> Vec<(String, TransactionOptions)> {
    let mut all = vec![];
    for n in 0..8 {
        let mut options = match n & 4 {
            0 => TransactionOptions::new_optimistic(),
            _ => TransactionOptions::new_pessimistic(),
        };
        if n & 2 != 0 {
            options = options.use_async_commit();
        }
        if n & 1 != 0 {
            options = options.try_one_pc();
        }
        all.push((format!("way {n}"), options));
    }
    all
}

macro_rules! steps {
    ($client:expr, $seed:expr, $($name:ident),*) => {
        $(
            println!("txncheck: {}", stringify!($name));
            let prefix = format!("compat/rust/{}/{}/", nanos(), stringify!($name)).into_bytes();
            let run = Run { client: $client.clone(), prefix };
            $name(&run, $seed).await.map_err(|e| format!("{}: {e} (seed {})", stringify!($name), $seed))?;
        )*
    };
}

pub async fn run(client: TransactionClient) -> Outcome {
    let client = std::sync::Arc::new(client);
    let seed = nanos();
    let prefix = format!("compat/rust/{}/killed/", nanos()).into_bytes();
    let killed = Killed::start(Run { client: client.clone(), prefix }).await?;
    steps!(client, seed, ways, own_writes, scans, old_snapshots, conflicts, inserts);
    steps!(client, seed, locks, deadlock, counters, heartbeat, left_behind, destroy);
    println!("txncheck: killed");
    killed.clean_up().await.map_err(|e| format!("killed: {e}"))?;
    steps!(client, seed, collection);
    Ok(())
}

/// Commits and deletes the same keys in every way.
async fn ways(run: &Run, _: u64) -> Outcome {
    for (name, options) in every_way() {
        let mut model = Model::new();
        let mut txn = run.begin(options.clone()).await?;
        for i in 0..30 {
            let (key, value) = (run.key(format!("{i:03}")), vec![b'v'; 1 + i * 30]);
            text(txn.put(key.clone(), value.clone()).await, &name)?;
            model.insert(key, value);
        }
        let commit = text(txn.commit().await, &name)?.ok_or("no commit timestamp")?;
        run.expect_model(commit.clone(), &model).await?;
        run.expect_model(run.now().await?, &model).await?;
        let before = Timestamp::from_version(commit.version() - 1);
        run.expect_at(before, &run.key("001"), None).await?;

        let mut txn = run.begin(options).await?;
        for key in model.keys() {
            text(txn.delete(key.clone()).await, &name)?;
        }
        text(txn.commit().await, &name)?;
        run.expect_at(run.now().await?, &run.key("001"), None).await?;
        run.expect_model(commit, &model).await?;
    }
    Ok(())
}

async fn own_writes(run: &Run, _: u64) -> Outcome {
    for (name, options) in every_way() {
        let mut model = Model::new();
        for i in 0..20 {
            model.insert(run.key(format!("{i:02}")), b"old".to_vec());
        }
        run.store(&model).await?;
        let mut txn = run.begin(options).await?;
        let start = txn.start_timestamp();
        let mut changed = model.clone();
        for i in (0..20).step_by(4) {
            let keys: Vec<_> = (i..i + 2).map(|n| run.key(format!("{n:02}"))).collect();
            text(txn.put(keys[0].clone(), "changed".to_owned()).await, &name)?;
            text(txn.delete(keys[1].clone()).await, &name)?;
            text(txn.put(run.key(format!("{i:02}+")), "new".to_owned()).await, &name)?;
            changed.insert(keys[0].clone(), b"changed".to_vec());
            changed.remove(&keys[1]);
            changed.insert(run.key(format!("{i:02}+")), b"new".to_vec());
        }
        same(text(txn.get(run.key("00")).await, "get")?, Some(b"changed".to_vec()), "own put")?;
        same(text(txn.get(run.key("01")).await, "get")?, None, "own delete")?;
        let range = run.prefix.clone()..run.end();
        let got = text(txn.scan(range, changed.len() as u32).await, "scan")?;
        let want: Pairs = changed.clone().into_iter().collect();
        same(sorted(got), want, "scan of own writes")?;
        run.expect_at(start, &run.key("00"), Some(b"old")).await?;
        text(txn.commit().await, &name)?;
        run.expect_model(run.now().await?, &changed).await?;
        let gone = run.client.unsafe_destroy_range(run.prefix.clone()..run.end()).await;
        text(gone, "destroy")?;
    }
    Ok(())
}

/// Versions, deletes and long values, scanned over several requests.
async fn scans(run: &Run, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut model = Model::new();
    for i in 0..600 {
        let length = [1, 20, 255, 256, 257, 2000][i % 6];
        model.insert(run.key(format!("{i:05}")), vec![b'a' + (i % 26) as u8; length]);
    }
    let first = run.store(&model).await?;
    let mut next = model.clone();
    let mut txn = run.begin(TransactionOptions::new_optimistic()).await?;
    for key in model.keys() {
        match random.below(4) {
            0 => {
                text(txn.delete(key.clone()).await, "delete")?;
                next.remove(key);
            }
            1 => {
                text(txn.put(key.clone(), vec![b'n'; 400]).await, "put")?;
                next.insert(key.clone(), vec![b'n'; 400]);
            }
            _ => {}
        }
    }
    text(txn.commit().await, "commit")?;
    run.expect_model(first, &model).await?;
    run.expect_model(run.now().await?, &next).await
}

async fn old_snapshots(run: &Run, _: u64) -> Outcome {
    let key = run.key("k");
    let mut versions = BTreeMap::new();
    for i in 0..25 {
        let value = format!("version {i}").into_bytes();
        let at = run.store(&Model::from([(key.clone(), value.clone())])).await?;
        versions.insert(at.version(), value);
    }
    let mut before: Option<Vec<u8>> = None;
    for (at, value) in versions {
        run.expect_at(Timestamp::from_version(at - 1), &key, before.as_deref()).await?;
        run.expect_at(Timestamp::from_version(at), &key, Some(&value)).await?;
        before = Some(value);
    }
    Ok(())
}

/// The second of two optimistic transactions fails and changes nothing.
async fn conflicts(run: &Run, _: u64) -> Outcome {
    for (name, options) in every_way() {
        let (key, other) = (run.key(&name), run.key(format!("{name} other")));
        let mut loser = run.begin(TransactionOptions::new_optimistic()).await?;
        same(text(loser.get(key.clone()).await, "get")?, None, "get")?;
        let mut winner = run.begin(options).await?;
        text(winner.put(key.clone(), "winner".to_owned()).await, "put")?;
        text(winner.commit().await, "commit")?;
        text(loser.put(key.clone(), "loser".to_owned()).await, "put")?;
        text(loser.put(other.clone(), "loser".to_owned()).await, "put")?;
        refused(loser.commit().await, is_conflict, "the second commit")?;
        text(loser.rollback().await, "roll back")?;
        run.expect(&key, Some("winner")).await?;
        run.expect(&other, None).await?;
    }
    Ok(())
}

async fn inserts(run: &Run, _: u64) -> Outcome {
    for (name, options) in every_way() {
        let (there, absent) = (run.key("there"), run.key(format!("{name} absent")));
        run.store(&Model::from([(there.clone(), b"v".to_vec())])).await?;
        let mut txn = run.begin(options.clone()).await?;
        match txn.insert(there.clone(), "x".to_owned()).await {
            Ok(()) => refused(txn.commit().await, exists, "insert of what is there")?,
            Err(e) => refused::<()>(Err(e), exists, "insert of what is there")?,
        }
        text(txn.rollback().await, "roll back")?;
        let mut txn = run.begin(options).await?;
        text(txn.insert(absent.clone(), "inserted".to_owned()).await, "insert")?;
        text(txn.commit().await, "commit of an insert")?;
        run.expect(&absent, Some("inserted")).await?;
        run.expect(&there, Some("v")).await?;
    }
    Ok(())
}

/// A transaction that holds locks on the keys, and their values.  Who meets the
/// lock of a secondary key whose commit is still under way is told of a conflict
/// when it ends, as by TiKV.
async fn lock_all(run: &Run, keys: Vec<Vec<u8>>) -> Result<(Transaction, Vec<KvPair>), String> {
    loop {
        let mut txn = run.begin(TransactionOptions::new_pessimistic()).await?;
        match txn.batch_get_for_update(keys.clone()).await {
            Ok(got) => return Ok((txn, got)),
            Err(e) if is_conflict(&e) => text(txn.rollback().await, "roll back")?,
            Err(e) => return Err(format!("lock: {e:?}")),
        };
    }
}

/// Locks with values, and waits for another's lock.
async fn locks(run: &Run, _: u64) -> Outcome {
    let (a, b, c) = (run.key("a"), run.key("b"), run.key("c"));
    run.store(&Model::from([(a.clone(), b"1".to_vec()), (b.clone(), b"2".to_vec())])).await?;
    let keys = vec![a.clone(), b.clone(), c.clone()];
    let (mut holder, got) = lock_all(run, keys).await?;
    let want = vec![(a.clone(), b"1".to_vec()), (b.clone(), b"2".to_vec())];
    same(sorted(got.into_iter()), want, "values of locks")?;
    run.expect(&a, Some("1")).await?; // readers do not mind

    let waiter = run.clone();
    let key = a.clone();
    let waiting = tokio::spawn(async move {
        loop {
            let mut txn = waiter.begin(TransactionOptions::new_pessimistic()).await?;
            match txn.get_for_update(key.clone()).await {
                Ok(value) => {
                    text(txn.put(key.clone(), "mine".to_owned()).await, "put")?;
                    text(txn.commit().await, "commit")?;
                    return Ok::<_, String>(value);
                }
                Err(e) if is_conflict(&e) || key_errors(&e).iter().any(|e| e.locked.is_some()) => {
                    text(txn.rollback().await, "roll back")?;
                }
                Err(e) => return Err(format!("wait: {e:?}")),
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(1300)).await;
    if waiting.is_finished() {
        return Err(format!("the lock was not waited for: {:?}", waiting.await));
    }
    text(holder.put(a.clone(), "held".to_owned()).await, "put")?;
    text(holder.commit().await, "commit")?;
    let got = waiting.await.map_err(|e| format!("task: {e}"))??;
    same(got, Some(b"held".to_vec()), "value after the wait")?;
    run.expect(&a, Some("mine")).await
}

/// Bytes of a mode and a keyspace id before the key.
const KEYSPACE_PREFIX: usize = 4;

async fn deadlock(run: &Run, _: u64) -> Outcome {
    let (a, b) = (run.key("a"), run.key("b"));
    let mut one = run.begin(TransactionOptions::new_pessimistic()).await?;
    let mut two = run.begin(TransactionOptions::new_pessimistic()).await?;
    text(one.lock_keys(vec![a.clone()]).await, "lock")?;
    text(two.lock_keys(vec![b.clone()]).await, "lock")?;
    let (first, second) = (one.start_timestamp().version(), two.start_timestamp().version());
    let want = vec![(first, second, b.clone()), (second, first, a.clone())];
    let waiting = tokio::spawn(async move {
        let got = one.lock_keys(vec![b]).await;
        (one, got)
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    match two.lock_keys(vec![a]).await {
        Err(e) if is_deadlock(&e) => {
            // With a keyspace's prefix in API V2: the client hands the error on as it is.
            let mut chain = wait_chain(&e);
            for ((_, _, key), (_, _, plain)) in chain.iter_mut().zip(&want) {
                if key.len() == plain.len() + KEYSPACE_PREFIX && key.ends_with(plain) {
                    *key = plain.clone();
                }
            }
            same(chain, want, "the chain of the deadlock")?
        }
        other => refused(other, is_deadlock, "the lock that closes the ring")?,
    }
    text(two.rollback().await, "roll back")?;
    let (mut one, got) = waiting.await.map_err(|e| format!("task: {e}"))?;
    if let Err(e) = got {
        refused::<()>(Err(e), is_conflict, "the other one")?;
    }
    text(one.rollback().await, "roll back")
}

/// Raises a number from several tasks in every way: no raise may be lost.
async fn counters(run: &Run, _: u64) -> Outcome {
    const RAISES: u32 = 10;
    let key = run.key("n");
    run.store(&Model::from([(key.clone(), b"0".to_vec())])).await?;
    let mut tasks = vec![];
    for (_, options) in every_way() {
        let (run, key) = (run.clone(), key.clone());
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            while done < RAISES {
                let mut txn = run.begin(options.clone()).await?;
                match raise(&mut txn, &key, options.is_pessimistic()).await {
                    Ok(()) => done += 1,
                    Err(e) if is_conflict(&e) => text(txn.rollback().await, "roll back")?,
                    Err(e) if key_errors(&e).iter().any(|e| e.locked.is_some()) => {
                        text(txn.rollback().await, "roll back")?
                    }
                    Err(e) => return Err(format!("raise: {e:?}")),
                }
            }
            Ok(())
        }));
    }
    let n = tasks.len() as u32;
    for task in tasks {
        let outcome: Outcome = task.await.map_err(|e| format!("task: {e}"))?;
        outcome?;
    }
    run.expect(&key, Some(&(n * RAISES).to_string())).await
}

async fn raise(txn: &mut Transaction, key: &[u8], pessimistic: bool) -> tikv_client::Result<()> {
    let value = match pessimistic {
        true => txn.get_for_update(key.to_vec()).await?,
        false => txn.get(key.to_vec()).await?,
    };
    let n: u32 = String::from_utf8(value.unwrap_or_default()).unwrap().parse().unwrap();
    txn.put(key.to_vec(), (n + 1).to_string()).await?;
    txn.commit().await.map(|_| ())
}

/// Keeps a transaction alive by hand and by the client's own task.
async fn heartbeat(run: &Run, _: u64) -> Outcome {
    let key = run.key("k");
    let often = HeartbeatOption::FixedTime(Duration::from_millis(300));
    let mut txn = run.begin(TransactionOptions::new_pessimistic().heartbeat_option(often)).await?;
    text(txn.lock_keys(vec![key.clone()]).await, "lock")?;
    let first = text(txn.send_heart_beat().await, "heartbeat")?;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let second = text(txn.send_heart_beat().await, "heartbeat")?;
    if second < first + 1000 {
        return Err(format!("time to live of {first} ms became {second} ms"));
    }
    text(txn.put(key.clone(), "v".to_owned()).await, "put")?;
    text(txn.commit().await, "commit")?;
    run.expect(&key, Some("v")).await
}

/// Finds and removes what a client that is gone has left behind.
async fn left_behind(run: &Run, _: u64) -> Outcome {
    let key = run.key("k");
    run.store(&Model::from([(key.clone(), b"old".to_vec())])).await?;
    let options =
        TransactionOptions::new_pessimistic().heartbeat_option(HeartbeatOption::NoHeartbeat);
    let mut txn = run.begin(options).await?;
    text(txn.lock_keys(vec![key.clone()]).await, "lock")?;
    text(txn.put(key.clone(), "new".to_owned()).await, "put")?;
    let range = run.prefix.clone()..run.end();
    let now = run.now().await?;
    let locks = text(run.client.scan_locks(&now, range.clone(), 10).await, "scan of locks")?;
    same(locks.len(), 1, "number of locks")?;
    same(locks[0].key.clone(), key.clone(), "key of the lock")?;
    same(locks[0].lock_version, txn.start_timestamp().version(), "version of the lock")?;
    let options = ResolveLocksOptions { async_commit_only: false, ..Default::default() };
    text(run.client.cleanup_locks(range.clone(), &now, options).await, "cleanup")?;
    let locks = text(run.client.scan_locks(&now, range, 10).await, "scan of locks")?;
    same(locks.len(), 0, "number of locks after the cleanup")?;
    // A lost pessimistic lock is made good, unless somebody was quicker.
    run.store(&Model::from([(key.clone(), b"quicker".to_vec())])).await?;
    let lost =
        |e: &Error| key_errors(e).iter().any(|e| e.abort.contains("PessimisticLockNotFound"));
    refused(txn.commit().await, lost, "commit after its lock was removed")?;
    run.expect(&key, Some("quicker")).await
}

async fn destroy(run: &Run, _: u64) -> Outcome {
    let mut model = Model::new();
    for i in 0..100 {
        model.insert(run.key(format!("{i:03}")), vec![b'v'; i * 5 + 1]);
    }
    run.store(&model).await?;
    let gone = run.client.unsafe_destroy_range(run.key("030")..run.key("060")).await;
    text(gone, "destroy")?;
    model.retain(|key, _| *key < run.key("030") || *key >= run.key("060"));
    run.expect_model(run.now().await?, &model).await
}

/// Collects garbage up to a timestamp, above which everything stays; reads below it are
/// refused by the store as soon as it hears of it, since this client does not ask.
async fn collection(run: &Run, _: u64) -> Outcome {
    let key = run.key("k");
    let first = run.store(&Model::from([(key.clone(), b"first".to_vec())])).await?;
    let at = run.store(&Model::from([(key.clone(), b"second".to_vec())])).await?;
    let safe_point = run.now().await?;
    let done = text(run.client.gc(safe_point.clone()).await, "collect")?;
    same(done, true, "the safe point is the one asked for")?;
    run.store(&Model::from([(key.clone(), b"third".to_vec())])).await?;
    let heard = Instant::now() + Duration::from_secs(40);
    while let Ok(()) = run.expect_at(at.clone(), &key, Some(b"second")).await {
        if Instant::now() > heard {
            return Err("reads below the safe point go on".into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for below in [first.version(), at.version(), safe_point.version() - 1] {
        let options = TransactionOptions::new_optimistic().read_only();
        let mut old = run.client.snapshot(Timestamp::from_version(below), options);
        refused(old.get(key.clone()).await, is_collected, "read below the safe point")?;
        let keys = vec![key.clone(), run.key("other")];
        let got = old.batch_get(keys).await.map(Iterator::count);
        refused(got, is_collected, "batch get below the safe point")?;
        let got = old.scan(run.prefix.clone()..run.end(), 1).await.map(Iterator::count);
        refused(got, is_collected, "scan below the safe point")?;
    }
    run.expect_at(safe_point, &key, Some(b"second")).await?;
    run.expect(&key, Some("third")).await
}
