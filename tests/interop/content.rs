//! The rules for content on a model that people use.

use modelctl::content::{ContentRules, Format};
use modelctl::pack::{PackOptions, Plan};

use crate::peers;

#[tokio::test]
async fn a_real_model_passes_the_strictest_rules() {
    let Some(model) = peers::model() else {
        return;
    };
    let plan = Plan::read(&model, &PackOptions::default()).await.unwrap();
    let found = plan.examine().await.unwrap();
    let objections = ContentRules::strict().judge(&found);
    assert!(objections.is_empty(), "{objections:#?}");
    let format = |name: &str| {
        found
            .iter()
            .find(|(path, _)| path.as_str() == name)
            .unwrap()
            .1
            .format
    };
    assert_eq!(format("model.safetensors"), Format::Safetensors);
    assert_eq!(format("tokenizer.json"), Format::Json);
    assert_eq!(format("vocab.txt"), Format::Text);
    assert_eq!(format("README.md"), Format::Text);
}
