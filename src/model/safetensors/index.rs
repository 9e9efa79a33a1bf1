//! The list that comes with a model in several safetensors files.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::Header;
use crate::error::{Error, Reason, Result};
use crate::model::tensor::Tensor;
use crate::path::SafePath;
use crate::{json, limits};

/// Which shard holds which tensor: `model.safetensors.index.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardIndex {
    shards: BTreeMap<String, SafePath>,
}

#[derive(Deserialize)]
struct RawIndex {
    weight_map: BTreeMap<String, String>,
}

impl ShardIndex {
    /// Reads an index, whose shards must be safe paths below its own directory.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.len() as u64 > limits::SHARD_INDEX {
            let message = format!(
                "the index of shards is larger than {} bytes",
                limits::SHARD_INDEX
            );
            return Err(Error::new(Reason::TooLarge, message));
        }
        let raw: RawIndex = json::parse(bytes, "the index of shards")?;
        let shards = raw
            .weight_map
            .into_iter()
            .map(|(tensor, shard)| Ok((tensor, shard.parse()?)))
            .collect::<Result<_>>()?;
        Ok(Self { shards })
    }

    /// Returns the shards, each once.
    pub fn shards(&self) -> BTreeSet<&SafePath> {
        self.shards.values().collect()
    }

    /// Checks that `header` of the file `shard` has exactly the tensors listed for it.
    pub fn check(&self, shard: &SafePath, header: &Header) -> Result<()> {
        let listed: BTreeSet<&str> = self
            .shards
            .iter()
            .filter(|(_, path)| *path == shard)
            .map(|(tensor, _)| tensor.as_str())
            .collect();
        let held: BTreeSet<&str> = header.tensors().iter().map(Tensor::name).collect();
        let Some(odd) = listed.symmetric_difference(&held).next() else {
            return Ok(());
        };
        let message = format!("the index of shards and `{shard}` disagree about tensor {odd:?}");
        Err(Error::new(Reason::HeaderInvalid, message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_safe_shards_that_hold_what_it_says() {
        let index = |map: &str| {
            ShardIndex::parse(
                format!(r#"{{"metadata":{{"total_size":1}},"weight_map":{{{map}}}}}"#).as_bytes(),
            )
        };
        let shard: SafePath = "x-1.safetensors".parse().unwrap();
        let json = r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#;
        let mut file = (json.len() as u64).to_le_bytes().to_vec();
        file.extend_from_slice(json.as_bytes());
        let header = Header::read(&mut &file[..], file.len() as u64 + 2).unwrap();
        let good =
            index(r#""a":"x-1.safetensors","b":"x-1.safetensors","c":"sub/x-2.safetensors""#)
                .unwrap();
        assert_eq!(good.shards().len(), 2);
        good.check(&shard, &header).unwrap();
        for wrong in [
            r#""a":"x-1.safetensors""#,
            r#""a":"x-1.safetensors","b":"x-2.safetensors""#,
            r#""a":"x-1.safetensors","b":"x-1.safetensors","c":"x-1.safetensors""#,
        ] {
            let error = index(wrong)
                .unwrap()
                .check(&shard, &header)
                .expect_err(wrong);
            assert_eq!(error.reason(), Reason::HeaderInvalid, "{wrong}");
        }
        for (bad, reason) in [
            (r#""a":"../x""#, Reason::PathUnsafe),
            (r#""a":"/etc/passwd""#, Reason::PathUnsafe),
            (r#""a":1"#, Reason::JsonInvalid),
            (r#""a":"x","a":"y""#, Reason::JsonInvalid),
        ] {
            assert_eq!(index(bad).expect_err(bad).reason(), reason, "{bad}");
        }
    }
}
