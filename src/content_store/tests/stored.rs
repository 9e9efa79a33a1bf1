use super::*;

#[tokio::test]
async fn makes_files_in_every_way() {
    let (bench, all) = (Bench::new(), content(LARGE));
    bench.store(&all).await;
    std::fs::create_dir_all(bench.installed("in/deep")).unwrap();
    for (name, link) in [
        ("copy", Link::Copy),
        ("reflink", Link::Reflink),
        ("link", Link::HardLink),
        ("in/deep/copy", Link::Copy),
        ("in/deep/link", Link::HardLink),
    ] {
        let made = bench.install(&all, name, link).await.unwrap();
        let path = bench.installed(name);
        assert_eq!(std::fs::read(&path).unwrap(), all);
        assert_eq!(made.file.metadata().unwrap().ino(), inode(&path));
        let shared = inode(&path) == inode(&bench.blob(&all));
        let allowed: &[Method] = match link {
            Link::Copy => &[Method::Copied],
            Link::Reflink => &[Method::Copied, Method::Reflinked],
            Link::HardLink => &[Method::HardLinked],
        };
        assert!(allowed.contains(&made.method), "{name}: {:?}", made.method);
        assert_eq!(shared, made.method == Method::HardLinked, "{name}");
        if shared {
            assert_eq!(mode(&path), 0o444);
        } else {
            assert_ne!(mode(&path) & 0o200, 0, "{name} can be written");
        }
    }
}

#[tokio::test]
async fn what_people_edit_is_not_hard_linked() {
    for (size, expected) in [(LARGE, Method::HardLinked), (5000, Method::Copied)] {
        let (bench, all) = (Bench::new(), content(size));
        bench.store(&all).await;
        let made = bench.install(&all, "f", Link::HardLink).await.unwrap();
        assert_eq!(made.method, expected);
        edit(&bench.installed("f"), |bytes| bytes[0] ^= 1);
        let intact = std::fs::read(bench.blob(&all)).unwrap() == all;
        assert_eq!(intact, expected == Method::Copied);
    }
}

#[tokio::test]
async fn finds_out_what_can_be_shared_and_leaves_no_trace_of_it() {
    let bench = Bench::new();
    let best = bench.store.link_to(&bench.target, Link::HardLink).await;
    let best = best.unwrap();
    assert_ne!(best, Link::Copy, "both are on one file system");
    let reflink = match best {
        Link::Reflink => Link::Reflink,
        _ => Link::Copy,
    };
    for (most, expected) in [(Link::Copy, Link::Copy), (Link::Reflink, reflink)] {
        let found = bench.store.link_to(&bench.target, most).await.unwrap();
        assert_eq!(found, expected);
    }
    assert!(bench.files().is_empty());
    assert!(bench.target.entries().unwrap().is_empty());

    // Where the store cannot be written, nothing can be tried.
    let ingest = bench.around.path().join("store/ingest");
    std::fs::remove_dir(&ingest).unwrap();
    let found = bench.store.link_to(&bench.target, Link::HardLink).await;
    assert_eq!(found.unwrap(), Link::Copy);
}

#[tokio::test]
async fn makes_no_file_where_something_stands_or_a_path_leads_out() {
    let (bench, all) = (Bench::new(), content(10));
    bench.store(&all).await;
    std::fs::write(bench.installed("there"), "theirs").unwrap();
    std::os::unix::fs::symlink("..", bench.installed("out")).unwrap();
    for link in [Link::Copy, Link::Reflink, Link::HardLink] {
        for (name, expected) in [
            ("there", Reason::Disk),
            ("missing/f", Reason::FileNotFound),
            ("out/f", Reason::FileKindUnsafe),
            ("there/f", Reason::FileKindUnsafe),
            ("../f", Reason::PathUnsafe),
            ("/f", Reason::PathUnsafe),
            (".", Reason::PathUnsafe),
            ("", Reason::PathUnsafe),
        ] {
            let made = bench.install(&all, name, link).await;
            assert_eq!(reason(made), expected, "{name:?} {link:?}");
        }
    }
    assert_eq!(std::fs::read(bench.installed("there")).unwrap(), b"theirs");
    assert!(!bench.around.path().join("f").exists());
}

#[tokio::test]
async fn notices_every_change_to_a_stored_blob() {
    type Change = fn(&Path);
    let changes: [Change; 5] = [
        |blob| edit(blob, |bytes| bytes[0] ^= 1),
        |blob| edit(blob, |bytes| *bytes.last_mut().unwrap() ^= 0x80),
        edit_secretly,
        |blob| {
            let other = blob.with_extension("new");
            let size = blob.metadata().unwrap().len();
            std::fs::write(&other, vec![7; size.try_into().unwrap()]).unwrap();
            std::fs::rename(&other, blob).unwrap();
        },
        |blob| {
            // Other bytes, and a voucher that was torn when it was written.
            edit(blob, |bytes| bytes[9] ^= 1);
            let shelves = blob.ancestors().nth(3).unwrap();
            let voucher = shelves.join("stamps").join(blob.file_name().unwrap());
            let _ = std::fs::write(voucher, "{\"stamp\":{");
        },
    ];
    for (number, change) in changes.into_iter().enumerate() {
        for (size, link) in [
            (5000, Link::Copy),
            (5000, Link::Reflink),
            (5000, Link::HardLink),
            (LARGE, Link::Copy),
            (LARGE, Link::Reflink),
            (LARGE, Link::HardLink),
        ] {
            let (bench, all) = (Bench::new(), content(size));
            bench.store(&all).await;
            // A twin that nobody changes. A hard link to it would weaken what follows, which
            // `what_a_hard_link_weakens_is_what_the_documentation_says` is about.
            let twin = match link {
                Link::HardLink => Link::Copy,
                link => link,
            };
            bench.install(&all, "before", twin).await.unwrap();

            change(&bench.blob(&all));
            let made = bench.install(&all, "after", link).await;
            let case = format!("{number} {size} {link:?}");
            assert_eq!(reason(made), Reason::DigestMismatch, "{case}");
            assert!(!bench.installed("after").exists(), "{case}");
            assert!(bench.files().is_empty(), "{case}");
            bench.store(&all).await;
            bench.install(&all, "after", link).await.unwrap();
        }
    }
}

#[tokio::test]
async fn removes_what_is_damaged_and_not_what_has_its_name_now() {
    let (bench, all) = (Bench::new(), content(100));
    let stored = bench.store(&all).await;
    let old = bench.around.path().join("old");
    std::fs::rename(bench.blob(&all), &old).unwrap();
    std::fs::write(bench.blob(&all), &all).unwrap();
    edit(&old, |bytes| bytes[0] ^= 1);
    let (path, meter) = (Path::new("f"), Box::new(Silent));
    let made = stored.materialise(&bench.target, path, Link::Copy, meter);
    assert_eq!(reason(made.await), Reason::DigestMismatch);
    bench.install(&all, "f", Link::Copy).await.unwrap();
}

#[tokio::test]
async fn a_copy_is_hashed_even_if_the_voucher_lies() {
    let (bench, all) = (Bench::new(), content(LARGE));
    bench.store(&all).await;
    let blob = bench.blob(&all);
    edit(&blob, |bytes| bytes[50] ^= 4);
    // As if the disk had lost a bit, which no time tells.
    let file = File::open(&blob).unwrap();
    let stamp = crate::directory::Stamp::of(&file, &blob).unwrap();
    let lie = serde_json::json!({ "stamp": stamp, "linked": false });
    std::fs::write(bench.voucher(&all), lie.to_string()).unwrap();
    let made = bench.install(&all, "f", Link::Copy).await;
    assert_eq!(reason(made), Reason::DigestMismatch);
    assert!(!blob.exists() && !bench.installed("f").exists());
}

#[tokio::test]
async fn what_a_hard_link_weakens_is_what_the_documentation_says() {
    let (bench, all) = (Bench::new(), content(LARGE));
    bench.store(&all).await;
    let link = Link::HardLink;
    let made = bench.install(&all, "a", link).await.unwrap();
    assert_eq!(made.method, Method::HardLinked);
    // Making and removing links does not cost a hashing; an edit that restores the modification
    // time is the price.
    std::fs::remove_file(bench.installed("a")).unwrap();
    edit_secretly(&bench.blob(&all));
    bench.install(&all, "b", link).await.unwrap();
    // An ordinary edit of the installed file is noticed.
    edit(&bench.installed("b"), |bytes| bytes[0] ^= 1);
    edit(&bench.installed("b"), |bytes| bytes[0] ^= 2);
    let made = bench.install(&all, "c", link).await;
    assert_eq!(reason(made), Reason::DigestMismatch);
    assert!(!bench.blob(&all).exists());
    assert!(bench.installed("b").exists(), "it is the user's file");
}

#[tokio::test]
async fn hashes_once_more_what_only_looks_changed() {
    let (bench, all) = (Bench::new(), content(LARGE));
    bench.store(&all).await;
    for link in [Link::Copy, Link::Reflink, Link::HardLink] {
        let name = format!("{link:?}");
        edit(&bench.blob(&all), |_| {});
        let before = std::fs::read(bench.voucher(&all)).unwrap();
        bench.install(&all, &name, link).await.unwrap();
        let after = std::fs::read(bench.voucher(&all)).unwrap();
        assert_ne!(before, after, "somebody vouches for it again");
        assert_eq!(std::fs::read(bench.installed(&name)).unwrap(), all);
    }
}

#[tokio::test]
async fn a_blob_that_loses_its_name_is_still_good_for_who_has_it() {
    for link in [Link::Copy, Link::Reflink, Link::HardLink] {
        let (bench, all) = (Bench::new(), content(100));
        let stored = bench.store(&all).await;
        std::fs::remove_file(bench.blob(&all)).unwrap();
        // And the name may be another file's by now.
        std::fs::write(bench.blob(&all), content(101)).unwrap();
        let (path, meter) = (Path::new("f"), Box::new(Silent));
        let made = stored.materialise(&bench.target, path, link, meter).await;
        assert_ne!(made.unwrap().method, Method::HardLinked);
        assert_eq!(std::fs::read(bench.installed("f")).unwrap(), all);
        assert_eq!(std::fs::read(bench.blob(&all)).unwrap(), content(101));
    }
}
