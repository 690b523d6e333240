//! The checks of the raw commands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

use tikv_client::RawClient;

use crate::model::{nanos, same, Model, Random, Run, SCAN_LIMIT};
use crate::more::*;
use crate::{Outcome, Store};

const TASKS: usize = 8;

macro_rules! step {
    ($client:expr, $name:ident $(, $extra:expr)*) => {
        println!("kvcheck: {}", stringify!($name));
        let run = Run::new($client, stringify!($name));
        $name(&run $(, $extra)*).await.map_err(|e| format!("{}: {e}", stringify!($name)))?;
        run.remove_all().await?;
    };
}

pub async fn run(client: &RawClient, store: Store) -> Outcome {
    let seed = nanos();
    step!(client, single_key);
    step!(client, absent_keys);
    step!(client, empty_value);
    step!(client, binary_keys);
    step!(client, long_keys, seed);
    step!(client, big_values, seed);
    step!(client, batches);
    step!(client, scan_bounds);
    step!(client, pages);
    step!(client, concurrent_tasks);
    step!(client, shared_key);
    step!(client, compare_and_swap);
    step!(client, counter);
    step!(client, delete_range);
    step!(client, batch_scan);
    step!(client, coprocessor);
    if has_families(store) {
        step!(client, families);
    }
    if store == Store::V1 {
        step!(client, no_time_to_live);
    } else {
        step!(client, time_to_live);
    }
    println!("kvcheck: random");
    let run = Run::new(client, "random");
    random(&run, seed).await.map_err(|e| format!("random, seed {seed}: {e}"))?;
    run.remove_all().await
}

async fn single_key(run: &Run) -> Outcome {
    let key = run.key("k");
    run.expect(&key, None).await?;
    for i in 0..50 {
        let value = format!("value {i}");
        run.put(&key, value.as_bytes()).await?;
        run.expect(&key, Some(value.as_bytes())).await?;
    }
    run.delete(&key).await?;
    run.expect(&key, None).await?;
    run.put(&key, b"again").await?;
    run.expect(&key, Some(b"again")).await
}

async fn absent_keys(run: &Run) -> Outcome {
    run.delete(&run.key("never stored")).await?;
    run.expect(&run.key("never stored"), None).await?;
    run.put(&run.key("b"), b"x").await?;
    for absent in ["a", "b\0", "c"] {
        run.expect(&run.key(absent), None).await?;
    }
    let keys = vec![run.key("x"), run.key("y")];
    run.expect_batch(keys.clone(), vec![]).await?;
    run.batch_delete(keys).await?;
    run.delete(&run.key("b")).await?;
    run.delete(&run.key("b")).await?;
    run.expect(&run.key("b"), None).await
}

async fn empty_value(run: &Run) -> Outcome {
    let key = run.key("empty");
    run.put(&key, b"").await?;
    run.expect(&key, Some(b"")).await?;
    run.expect_all(&Model::from([(key.clone(), vec![])])).await?;
    run.put(&key, b"full").await?;
    run.expect(&key, Some(b"full")).await?;
    run.put(&key, b"").await?;
    let keys = vec![key.clone(), run.key("none")];
    run.expect_batch(keys, vec![(key, vec![])]).await
}

async fn binary_keys(run: &Run) -> Outcome {
    let mut model = Model::new();
    for byte in 0..=255u8 {
        model.insert(run.key([byte]), vec![byte, 0, 255]);
    }
    let others: [&[u8]; 14] = [
        b"",
        b"\0\0",
        b"\0\0\0",
        b"\0\xff",
        b"\0\xff\0",
        b"a\0",
        b"a\0\0",
        b"a\xff",
        b"\xff\0",
        b"\xff\xff",
        b"\xff\xff\xff",
        b"01234567",
        b"01234567\0",
        b"0123456\xff8",
    ];
    for suffix in others {
        model.insert(run.key(suffix), suffix.to_vec());
    }
    run.store_and_scan(&model).await?;
    for key in model.keys() {
        run.expect_scan(&model, key, &run.end(), 1, false).await?;
        run.expect_scan(&model, &run.prefix, key, 1, true).await?;
    }
    Ok(())
}

async fn long_keys(run: &Run, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let common = vec![b'L'; 2100 - run.prefix.len()];
    let mut model = Model::new();
    for i in 0..24 {
        let key = run.key([common.as_slice(), &random.bytes(900)].concat());
        model.insert(key, format!("value {i}").into_bytes());
    }
    for zeros in [0, 1, 899] {
        let key = run.key([common.as_slice(), &vec![0; zeros]].concat());
        model.insert(key, format!("{zeros} zeros").into_bytes());
    }
    run.store_and_scan(&model).await?;
    let gone = model.keys().nth(7).unwrap().clone();
    run.delete(&gone).await?;
    model.remove(&gone);
    run.expect(&gone, None).await?;
    run.expect_all(&model).await
}

async fn big_values(run: &Run, seed: u64) -> Outcome {
    const MIB: usize = 1 << 20;
    let noise = Random::new(seed).bytes(MIB);
    let model = Model::from([
        (run.key("noise"), noise.clone()),
        (run.key("zeros"), vec![0; MIB]),
        (run.key("odd size"), noise[..MIB - 3].to_vec()),
        (run.key("2000"), noise[..2000].to_vec()),
        (run.key("9000"), noise[..9000].to_vec()),
        (run.key("one"), vec![7]),
    ]);
    run.store_and_scan(&model).await?;
    let keys = model.keys().cloned().collect();
    run.expect_batch(keys, model.clone().into_iter().collect()).await?;
    run.put(&run.key("noise"), b"small now").await?;
    run.expect(&run.key("noise"), Some(b"small now")).await?;
    run.put(&run.key("one"), &noise).await?;
    run.expect(&run.key("one"), Some(&noise)).await
}

async fn batches(run: &Run) -> Outcome {
    let mut model = Model::new();
    for round in ["old", "new"] {
        for i in 0..1000 {
            model.insert(run.key(format!("{:06}", i * 2)), format!("{round} {i}").into_bytes());
        }
        run.batch_put(model.clone().into_iter().collect()).await?;
    }
    let mut keys: Vec<Vec<u8>> = model.keys().cloned().collect();
    run.expect_batch(keys.clone(), model.clone().into_iter().collect()).await?;
    keys.push(run.key("000001"));
    run.expect_batch(keys.clone(), model.clone().into_iter().collect()).await?;

    let odd: Vec<Vec<u8>> = keys.iter().skip(1).step_by(2).cloned().collect();
    run.batch_delete(odd.clone()).await?;
    model.retain(|key, _| !odd.contains(key));
    run.expect_batch(keys, model.clone().into_iter().collect()).await?;
    run.expect_batch(odd, vec![]).await?;
    run.expect_all(&model).await
}

async fn scan_bounds(run: &Run) -> Outcome {
    let mut model = Model::new();
    for suffix in ["b", "d", "f", "h"] {
        model.insert(run.key(suffix), suffix.as_bytes().to_vec());
    }
    run.store_and_scan(&model).await?;
    let mut points = vec![run.prefix.clone(), run.end()];
    for suffix in ["a", "b", "b\0", "c", "d", "h", "h\0", "k"] {
        points.push(run.key(suffix));
    }
    points.sort();
    for (i, low) in points.iter().enumerate() {
        for high in &points[i + 1..] {
            for limit in [1, 2, 4, 5, 100] {
                run.expect_scan(&model, low, high, limit, false).await?;
                run.expect_scan(&model, low, high, limit, true).await?;
            }
        }
    }
    Ok(())
}

async fn pages(run: &Run) -> Outcome {
    let count = SCAN_LIMIT as usize + 1500;
    let mut model = Model::new();
    for i in 0..count {
        model.insert(run.key(format!("{i:08}")), format!("v{i}").into_bytes());
    }
    let all: Vec<_> = model.clone().into_iter().collect();
    for some in all.chunks(1000) {
        run.batch_put(some.to_vec()).await?;
    }
    for page in [SCAN_LIMIT as usize, 1000] {
        for start in (0..count).step_by(page) {
            let low = &all[start].0;
            run.expect_scan(&model, low, &run.end(), page as u32, false).await?;
            run.expect_scan(&model, &run.prefix, low, page as u32, true).await?;
        }
    }
    Ok(())
}

/// Waits for all tasks and gives the first failure of any.
pub async fn join(tasks: Vec<tokio::task::JoinHandle<Outcome>>) -> Outcome {
    let mut outcome = Ok(());
    for task in tasks {
        let one = task.await.map_err(|e| format!("task: {e}")).and_then(|o| o);
        outcome = outcome.and(one);
    }
    outcome
}

async fn concurrent_tasks(run: &Run) -> Outcome {
    const KEYS: usize = 60;
    let mut tasks = vec![];
    for who in 0..TASKS {
        let run = run.clone();
        tasks.push(tokio::spawn(async move {
            for i in 0..KEYS {
                let key = run.key(format!("{i:04}/{who}"));
                run.expect(&key, None).await?;
                run.put(&key, b"first").await?;
                run.put(&key, format!("{i} of {who}").as_bytes()).await?;
                if i % 3 == 0 {
                    run.delete(&key).await?;
                    run.expect(&key, None).await?;
                }
            }
            Ok(())
        }));
    }
    join(tasks).await?;
    let mut model = Model::new();
    for i in (0..KEYS).filter(|i| i % 3 != 0) {
        for who in 0..TASKS {
            model.insert(run.key(format!("{i:04}/{who}")), format!("{i} of {who}").into_bytes());
        }
    }
    run.expect_all(&model).await
}

/// Writers overwrite one key and readers look: the writes of one writer may
/// never be seen in a falling order.
async fn shared_key(run: &Run) -> Outcome {
    const WRITES: u32 = 60;
    let key = run.key("shared");
    run.put(&key, b"0 0").await?;
    let finished = Arc::new(AtomicU32::new(0));
    let mut tasks = vec![];
    for who in 0..TASKS as u32 {
        let (run, key, finished) = (run.clone(), key.clone(), finished.clone());
        tasks.push(tokio::spawn(async move {
            if who % 2 == 0 {
                let outcome = overwrite(&run, &key, who, WRITES).await;
                finished.fetch_add(1, Ordering::SeqCst);
                return outcome;
            }
            let mut last = HashMap::new();
            while finished.load(Ordering::SeqCst) < TASKS as u32 / 2 {
                look(&run, &key, &mut last).await?;
            }
            Ok(())
        }));
    }
    join(tasks).await?;
    let mut last = HashMap::new();
    let number = look(run, &key, &mut last).await?;
    same(number, WRITES, "number of the write that stayed")
}

async fn overwrite(run: &Run, key: &[u8], who: u32, writes: u32) -> Outcome {
    let mut last = HashMap::new();
    for i in 1..=writes {
        run.put(key, format!("{who} {i}").as_bytes()).await?;
        last.insert(who, i);
        look(run, key, &mut last).await?;
    }
    Ok(())
}

async fn look(run: &Run, key: &[u8], last: &mut HashMap<u32, u32>) -> Result<u32, String> {
    let value = run.get(key).await?.ok_or("the shared key is absent")?;
    let text = String::from_utf8_lossy(&value).into_owned();
    let numbers: Vec<u32> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    let [who, number] = numbers[..] else {
        return Err(format!("the shared key reads {text:?}, which nobody wrote"));
    };
    let before = last.insert(who, number).unwrap_or(0);
    if number < before {
        return Err(format!("saw write {number} of writer {who} after its write {before}"));
    }
    Ok(number)
}

async fn random(run: &Run, seed: u64) -> Outcome {
    let mut random = Random::new(seed);
    let mut model = Model::new();
    for _ in 0..2500 {
        let key = random_key(run, &mut random);
        match random.below(10) {
            0..=2 => {
                let size = random.below(40) as usize;
                let value = random.bytes(size);
                run.put(&key, &value).await?;
                model.insert(key, value);
            }
            3 => {
                run.delete(&key).await?;
                model.remove(&key);
            }
            4 => random_batch(run, &mut random, &mut model).await?,
            5..=7 => run.expect(&key, model.get(&key).map(Vec::as_slice)).await?,
            _ => {
                let other = random_key(run, &mut random);
                let (low, high) = (key.clone().min(other.clone()), key.max(other));
                if low < high {
                    let limit = 1 + random.below(30) as u32;
                    let reverse = random.below(2) == 0;
                    run.expect_scan(&model, &low, &high, limit, reverse).await?;
                }
            }
        }
    }
    run.expect_all(&model).await
}

fn random_key(run: &Run, random: &mut Random) -> Vec<u8> {
    let size = random.below(4);
    let suffix: Vec<u8> =
        (0..size).map(|_| [0, b'a', b'b', 255][random.below(4) as usize]).collect();
    run.key(suffix)
}

/// Each key at most once, because the order inside a request is the client's.
async fn random_batch(run: &Run, random: &mut Random, model: &mut Model) -> Outcome {
    let mut chosen = Model::new();
    for _ in 0..1 + random.below(12) {
        chosen.insert(random_key(run, random), random.bytes(8));
    }
    let keys: Vec<Vec<u8>> = chosen.keys().cloned().collect();
    match random.below(3) {
        0 => {
            run.batch_put(chosen.clone().into_iter().collect()).await?;
            model.extend(chosen);
        }
        1 => {
            run.batch_delete(keys).await?;
            model.retain(|key, _| !chosen.contains_key(key));
        }
        _ => {
            let want = model.clone().into_iter().filter(|(key, _)| chosen.contains_key(key));
            run.expect_batch(keys, want.collect()).await?;
        }
    }
    Ok(())
}
