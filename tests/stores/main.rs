//! One suite over every kind of store, and what is special about some of them.
//!
//! A new kind of store is one function in `place.rs` and one word in each list below.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod artifact;
mod copies;
mod layouts;
mod place;
mod suite;
#[path = "../support/mod.rs"]
mod support;

/// Runs each case of `suite` over each place.
macro_rules! over_stores {
    ($($place:ident)+) => { $(
        over_stores! { @cases $place:
            a_blob_comes_back_as_it_was_put
            a_blob_is_here_once_it_was_put
            a_blob_comes_in_parts
            what_is_not_there_is_not_found
            content_is_stored_only_as_what_it_is
            a_manifest_comes_back_by_tag_and_by_digest
            bytes_that_changed_in_the_store_are_refused
            a_tag_moves_and_what_had_it_stays
            one_manifest_has_several_tags
            tags_are_listed_in_order
            referrers_are_listed_whatever_they_are
            a_referrer_may_come_before_its_subject
            an_index_may_refer_and_be_referred_to
            putting_twice_changes_nothing
            referrers_put_at_once_are_all_there
        }
    )+ };
    (@cases $place:ident: $($case:ident)+) => {
        mod $place { $(
            #[tokio::test]
            async fn $case() {
                crate::suite::$case(crate::place::$place().await).await;
            }
        )+ }
    };
}

/// Runs each case of `copies` from one place to another.
macro_rules! over_copies {
    ($($name:ident: $from:ident => $to:ident,)+) => { $(
        over_copies! { @cases $name $from $to:
            an_artifact_is_copied_with_what_refers_to_it
            an_artifact_is_copied_alone_on_demand
            a_second_copy_sends_nothing
            an_index_is_copied_with_its_children_and_their_referrers
            a_damaged_source_leaves_no_tag
            another_tools_artifact_is_copied
        }
    )+ };
    (@cases $name:ident $from:ident $to:ident: $($case:ident)+) => {
        mod $name { $(
            #[tokio::test]
            async fn $case() {
                let (from, to) = (crate::place::$from().await, crate::place::$to().await);
                crate::copies::$case(from, to).await;
            }
        )+ }
    };
}

over_stores! { layout registry careless_registry old_registry }

over_copies! {
    layout_to_layout: layout => layout,
    layout_to_registry: layout => registry,
    layout_to_old_registry: layout => old_registry,
    registry_to_layout: registry => layout,
    old_registry_to_registry: old_registry => registry,
    careless_registry_to_old_registry: careless_registry => old_registry,
}
