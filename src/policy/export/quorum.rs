//! So many of so many, said by those who know only "all" and "one of".

/// How many alternatives are written before it gets too long for anyone to read.
const MOST: usize = 64;

/// Returns groups such that one member of every group is there exactly when `threshold` of all
/// `members` are: every group of `n - threshold + 1` members. Two of a, b and c are a or b, and a or
/// c, and b or c. Nothing if there are too many groups, or the threshold is out of reach.
pub(super) fn groups<T: Clone>(members: &[T], threshold: usize) -> Option<Vec<Vec<T>>> {
    let size = (members.len() + 1).checked_sub(threshold.max(1))?;
    if size == 0 {
        return None;
    }
    let mut found = Vec::new();
    choose(members, size, &mut Vec::new(), &mut found);
    (found.len() <= MOST).then_some(found)
}

fn choose<T: Clone>(left: &[T], size: usize, chosen: &mut Vec<T>, found: &mut Vec<Vec<T>>) {
    if found.len() > MOST || left.len() < size {
        return;
    }
    if size == 0 {
        found.push(chosen.clone());
        return;
    }
    let Some((first, rest)) = left.split_first() else {
        return;
    };
    chosen.push(first.clone());
    choose(rest, size - 1, chosen, found);
    chosen.pop();
    choose(rest, size, chosen, found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_met_exactly_when_so_many_are_there() {
        for count in 1..=5_usize {
            let members: Vec<usize> = (0..count).collect();
            for threshold in 1..=count {
                let groups = groups(&members, threshold).unwrap();
                for there in 0..1_u32 << count {
                    let is_there = |member: &usize| there >> member & 1 == 1;
                    let met = groups.iter().all(|group| group.iter().any(is_there));
                    let enough = there.count_ones() as usize >= threshold;
                    assert_eq!(met, enough, "{threshold} of {count}, {there:b}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        assert_eq!(groups(&["a"], 2), None);
        assert_eq!(groups::<&str>(&[], 1), None);
        let many: Vec<usize> = (0..40).collect();
        assert_eq!(groups(&many, 20), None);
        assert_eq!(groups(&many, 1).unwrap(), vec![many.clone()]);
        assert_eq!(groups(&many, 40).unwrap().len(), 40);
    }
}
