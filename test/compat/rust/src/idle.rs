//! Clients that do nothing for long, with their connections and the stream of timestamps open,
//! and then work on at once.

use std::sync::Arc;
use std::time::Duration;

use tikv_client::{RawClient, TransactionClient};

use crate::model::{nanos, Model};
use crate::txn::{every_way, text, Run};
use crate::Outcome;

pub async fn run(raw: RawClient, client: TransactionClient, quiet: Duration) -> Outcome {
    let prefix = format!("compat/rust/{}/idle/", nanos()).into_bytes();
    let run = Run { client: Arc::new(client), prefix };
    let mut model = Model::new();
    for i in 0..50 {
        model.insert(run.key(format!("{i:02}")), vec![b'v'; i * 20 + 1]);
    }
    run.store(&model).await?;
    let key = format!("compat/rust/{}/idle raw", nanos());
    text(raw.put(key.clone(), "before".to_owned()).await, "raw put")?;

    tokio::time::sleep(quiet).await;

    raw_is(&raw, &key, "before").await?;
    text(raw.put(key.clone(), "after".to_owned()).await, "raw put")?;
    raw_is(&raw, &key, "after").await?;
    run.expect_model(run.now().await?, &model).await?;
    for (name, options) in every_way() {
        let mut txn = run.begin(options).await?;
        for (key, value) in model.iter_mut() {
            *value = name.clone().into_bytes();
            text(txn.put(key.clone(), value.clone()).await, &name)?;
        }
        text(txn.commit().await, &name)?;
        run.expect_model(run.now().await?, &model).await?;
    }
    text(raw.delete(key).await, "raw delete")
}

async fn raw_is(raw: &RawClient, key: &str, want: &str) -> Outcome {
    match text(raw.get(key.to_owned()).await, "raw get")? {
        Some(value) if value == want.as_bytes() => Ok(()),
        other => Err(format!("{key} is {other:?}, want {want}")),
    }
}
