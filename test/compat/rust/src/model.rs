//! What the store should hold, and one pass of checks with keys of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tikv_client::{KvPair, RawClient};

use crate::Outcome;

pub const SCAN_LIMIT: u32 = 10240;

pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A pass of one check over the keys below its own prefix.
#[derive(Clone)]
pub struct Run {
    client: RawClient,
    pub prefix: Vec<u8>,
    /// Every key that was ever stored.
    stored: Arc<Mutex<BTreeSet<Vec<u8>>>>,
}

pub fn nanos() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}

pub fn same<T: PartialEq + Debug>(got: T, want: T, what: &str) -> Outcome {
    if got == want {
        return Ok(());
    }
    Err(format!("{what}: got {}, want {}", brief(&got), brief(&want)))
}

fn brief<T: Debug>(value: &T) -> String {
    let text = format!("{value:?}");
    match text.char_indices().nth(300) {
        Some((at, _)) => format!("{}… ({} characters)", &text[..at], text.len()),
        None => text,
    }
}

fn pairs(list: Vec<KvPair>) -> Pairs {
    list.into_iter().map(|KvPair(key, value)| (key.into(), value)).collect()
}

impl Run {
    pub fn new(client: &RawClient, name: &str) -> Run {
        let prefix = format!("compat/rust/{}/{name}/", nanos()).into_bytes();
        Run { client: client.clone(), prefix, stored: Arc::default() }
    }

    pub fn client(&self) -> &RawClient {
        &self.client
    }

    pub fn key(&self, suffix: impl AsRef<[u8]>) -> Vec<u8> {
        [&self.prefix, suffix.as_ref()].concat()
    }

    /// The first key behind all of ours.
    pub fn end(&self) -> Vec<u8> {
        let mut end = self.prefix.clone();
        *end.last_mut().unwrap() += 1;
        end
    }

    pub async fn put(&self, key: &[u8], value: &[u8]) -> Outcome {
        self.stored.lock().unwrap().insert(key.to_vec());
        let done = self.client.put(key.to_vec(), value.to_vec()).await;
        done.map_err(|e| format!("put: {e}"))
    }

    pub async fn delete(&self, key: &[u8]) -> Outcome {
        let done = self.client.delete(key.to_vec()).await;
        done.map_err(|e| format!("delete: {e}"))
    }

    pub async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, String> {
        self.client.get(key.to_vec()).await.map_err(|e| format!("get: {e}"))
    }

    pub async fn expect(&self, key: &[u8], want: Option<&[u8]>) -> Outcome {
        same(self.get(key).await?.as_deref(), want, "get")
    }

    pub async fn batch_put(&self, list: Pairs) -> Outcome {
        self.stored.lock().unwrap().extend(list.iter().map(|(key, _)| key.clone()));
        self.client.batch_put(list).await.map_err(|e| format!("batch put: {e}"))
    }

    pub async fn batch_delete(&self, keys: Vec<Vec<u8>>) -> Outcome {
        let done = self.client.batch_delete(keys).await;
        done.map_err(|e| format!("batch delete: {e}"))
    }

    /// Compares with the pairs that are present, whatever their order.
    pub async fn expect_batch(&self, keys: Vec<Vec<u8>>, mut want: Pairs) -> Outcome {
        let got = self.client.batch_get(keys).await;
        let mut got = pairs(got.map_err(|e| format!("batch get: {e}"))?);
        got.sort();
        want.sort();
        same(got, want, "batch get")
    }

    /// Scans both values and keys alone, in one direction.
    ///
    /// Asks for no more than there is: in the region whose end is open, release 0.4 of the
    /// client scans again and again, from the first key on, until it has as many as the limit.
    pub async fn expect_scan(
        &self,
        model: &Model,
        low: &[u8],
        high: &[u8],
        limit: u32,
        reverse: bool,
    ) -> Outcome {
        let want = scan_model(model, low, high, limit, reverse);
        if want.is_empty() {
            return Ok(());
        }
        let limit = want.len() as u32;
        let range = || low.to_vec()..high.to_vec();
        let what = format!("scan of {low:?} to {high:?}, limit {limit}, reverse {reverse}");
        let (got, keys) = if reverse {
            (
                self.client.scan_reverse(range(), limit).await,
                self.client.scan_keys_reverse(range(), limit).await,
            )
        } else {
            (self.client.scan(range(), limit).await, self.client.scan_keys(range(), limit).await)
        };
        let got = pairs(got.map_err(|e| format!("{what}: {e}"))?);
        let keys = keys.map_err(|e| format!("{what}, keys alone: {e}"))?;
        let keys: Vec<Vec<u8>> = keys.into_iter().map(Vec::from).collect();
        let want_keys: Vec<Vec<u8>> = want.iter().map(|(key, _)| key.clone()).collect();
        same(got, want, &what)?;
        same(keys, want_keys, &format!("{what}, keys alone"))
    }

    /// Stores all pairs, reads each, and scans up and down.
    pub async fn store_and_scan(&self, model: &Model) -> Outcome {
        for (key, value) in model {
            self.put(key, value).await?;
        }
        for (key, value) in model {
            self.expect(key, Some(value)).await?;
        }
        self.expect_all(model).await
    }

    pub async fn expect_all(&self, model: &Model) -> Outcome {
        for reverse in [false, true] {
            self.expect_scan(model, &self.prefix, &self.end(), SCAN_LIMIT, reverse).await?;
        }
        Ok(())
    }

    /// Deletes what the check has left, and makes sure that nothing remains.
    pub async fn remove_all(&self) -> Outcome {
        let keys: Vec<Vec<u8>> = self.stored.lock().unwrap().iter().cloned().collect();
        for some in keys.chunks(1000) {
            self.batch_delete(some.to_vec()).await?;
            self.expect_batch(some.to_vec(), vec![]).await?;
        }
        Ok(())
    }
}

pub fn scan_model(model: &Model, low: &[u8], high: &[u8], limit: u32, reverse: bool) -> Pairs {
    if low >= high {
        return Vec::new();
    }
    let within = model.range(low.to_vec()..high.to_vec());
    let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
    if reverse {
        within.rev().take(limit as usize).map(copy).collect()
    } else {
        within.take(limit as usize).map(copy).collect()
    }
}

/// A small generator, so that a failure can be repeated from its seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.next() >> 24) as u8).collect()
    }
}
