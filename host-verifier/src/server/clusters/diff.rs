//! How two texts differ, line by line.

use super::view::DiffLine;

/// Most lines of either text between their common beginning and end that are compared one by one. Beyond it they are
/// told as removed and added: the table grows with the product of both.
const MAX_LINES: usize = 2000;

/// The shortest list of lines to remove and add.
pub(super) fn lines(old: &str, new: &str) -> Vec<DiffLine> {
    let old: Vec<&str> = old.lines().collect();
    let new: Vec<&str> = new.lines().collect();
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let (begin, old) = old.split_at(head);
    let new = new.get(head..).unwrap_or_default();
    let tail = old.iter().rev().zip(new.iter().rev());
    let tail = tail.take_while(|(a, b)| a == b).count();
    let (old, end) = old.split_at(old.len().saturating_sub(tail));
    let new = new
        .get(..new.len().saturating_sub(tail))
        .unwrap_or_default();

    let mut told = Vec::new();
    let mut tell = |sign, lines: &[&str]| {
        told.extend(lines.iter().map(|text| DiffLine {
            sign,
            text: (*text).to_owned(),
        }));
    };
    tell(' ', begin);
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        tell('-', old);
        tell('+', new);
    } else {
        walk(old, new, &mut tell);
    }
    tell(' ', end);
    told
}

/// The longest common subsequence, by the usual table.
fn walk(old: &[&str], new: &[&str], tell: &mut impl FnMut(char, &[&str])) {
    let width = new.len() + 1;
    let mut table = vec![0u16; (old.len() + 1) * width];
    let at = |table: &[u16], i: usize, j: usize| table.get(i * width + j).copied().unwrap_or(0);
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let best = match a == b {
                true => at(&table, i + 1, j + 1).saturating_add(1),
                false => at(&table, i + 1, j).max(at(&table, i, j + 1)),
            };
            if let Some(cell) = table.get_mut(i * width + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                tell(' ', &[a]);
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || at(&table, i + 1, j) >= at(&table, i, j + 1) => {
                tell('-', &[a]);
                i += 1;
            }
            (_, Some(b)) => {
                tell('+', &[b]);
                j += 1;
            }
            (_, None) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    fn shown(old: &str, new: &str) -> String {
        let lines = lines(old, new).into_iter();
        lines.map(|l| format!("{}{}\n", l.sign, l.text)).collect()
    }

    #[test]
    fn a_difference_is_the_shortest() {
        assert_eq!(shown("a\nb\nc\n", "a\nb\nc\n"), " a\n b\n c\n");
        assert_eq!(shown("a\nb\nc\n", "a\nx\nc\n"), " a\n-b\n+x\n c\n");
        assert_eq!(shown("", "a\n"), "+a\n");
        assert_eq!(shown("a\n", ""), "-a\n");
        assert_eq!(
            shown("a\nb\nc\nd\ne\n", "a\nc\nx\nd\nf\ne\n"),
            " a\n-b\n c\n+x\n d\n+f\n e\n"
        );
        assert_eq!(shown("b\na\n", "a\nb\n"), "-b\n a\n+b\n");
    }

    #[test]
    fn long_texts_are_told_whole() {
        let old: String = (0..3000).map(|n| format!("{n}\n")).collect();
        let new: String = (0..3000).map(|n| format!("new {n}\n")).collect();
        let told = lines(&old, &new);
        assert_eq!(told.len(), 6000);
        assert_eq!(told.iter().filter(|line| line.sign == '-').count(), 3000);
    }
}
