//! Duplicates by perceptual hashes.

/// The hashes of the kept pictures.
#[derive(Debug)]
pub(super) struct Kept {
    hashes: Vec<u64>,
    max_distance: u32,
}

impl Kept {
    pub(super) fn new(max_distance: u8) -> Self {
        Self {
            hashes: Vec::new(),
            max_distance: max_distance.into(),
        }
    }

    /// Keeps a hash unless a kept one is at most the maximum distance away. Returns the distance to the nearest kept hash,
    /// which is `None` for the first; an error for a duplicate.
    pub(super) fn keep(&mut self, hash: u64) -> Result<Option<u32>, ()> {
        let mut nearest = None;
        // Duplicates are mostly close in time.
        for kept in self.hashes.iter().rev() {
            let distance = (kept ^ hash).count_ones();
            if distance <= self.max_distance {
                return Err(());
            }
            nearest = Some(nearest.map_or(distance, |nearest: u32| nearest.min(distance)));
        }
        self.hashes.push(hash);
        Ok(nearest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_hashes_is_kept() {
        let mut kept = Kept::new(2);
        assert_eq!(kept.keep(0), Ok(None));
        assert_eq!(kept.keep(0b111), Ok(Some(3)));
        assert_eq!(kept.keep(0b11), Err(()), "two bits from the first");
        assert_eq!(kept.keep(0), Err(()), "not only the previous picture counts");
        assert_eq!(kept.keep(u64::MAX), Ok(Some(61)));
    }
}
