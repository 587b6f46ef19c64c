//! How long messages are.

use fastrand::Rng;

/// A distribution of sizes, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Sizes {
    Fixed(usize),
    /// Each size between the two, both included, as often as any other.
    Uniform {
        min: usize,
        max: usize,
    },
    /// Sizes and how often they come in comparison. There is one at least, and none weighs nothing.
    Weighted(Vec<(usize, u32)>),
    /// Half are longer than the median, few are much longer: the logarithms have a normal
    /// distribution, of which `spread` is one standard deviation as a factor. Cut off at both ends.
    LogNormal {
        min: usize,
        median: usize,
        max: usize,
        spread: f64,
    },
}

impl Sizes {
    pub(crate) fn longest(&self) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform { max, .. } | Self::LogNormal { max, .. } => *max,
            Self::Weighted(sizes) => sizes.iter().map(|(size, _)| *size).max().unwrap_or(0),
        }
    }

    /// The size of the next message.
    pub(crate) fn draw(&self, rng: &mut Rng) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Uniform { min, max } => rng.usize(*min..=*max),
            Self::Weighted(sizes) => weighted(sizes, rng),
            Self::LogNormal { min, median, max, spread } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "bounded on the next line, and sizes are far below 2^53"
                )]
                let size = (*median as f64 * spread.powf(normal(rng))).round() as usize;
                size.clamp(*min, *max)
            }
        }
    }
}

fn weighted(sizes: &[(usize, u32)], rng: &mut Rng) -> usize {
    let total: u64 = sizes.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = rng.u64(..total.max(1));
    for (size, weight) in sizes {
        match left.checked_sub(u64::from(*weight)) {
            Some(rest) => left = rest,
            None => return *size,
        }
    }
    sizes.last().map_or(0, |(size, _)| *size)
}

/// A number with a standard normal distribution (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    // From (0, 1], since zero has no logarithm.
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(sizes: &Sizes) -> Vec<usize> {
        let mut rng = Rng::with_seed(7);
        let mut draws: Vec<usize> = (0..10_000).map(|_| sizes.draw(&mut rng)).collect();
        draws.sort_unstable();
        draws
    }

    #[test]
    fn uniform_sizes_reach_both_ends() {
        let draws = draws(&Sizes::Uniform { min: 32, max: 131 });
        assert_eq!((draws[0], draws[9999]), (32, 131));
        assert!((78..=86).contains(&draws[5000]), "{}", draws[5000]);
    }

    #[test]
    fn weights_say_how_often_a_size_comes() {
        let draws = draws(&Sizes::Weighted(vec![(64, 9), (1024, 1)]));
        let long = draws.iter().filter(|size| **size == 1024).count();
        assert!((900..=1100).contains(&long), "{long}");
        assert!(draws.iter().all(|size| [64, 1024].contains(size)));
    }

    #[test]
    fn the_median_of_a_long_tail_is_where_it_was_put() {
        let draws = draws(&Sizes::LogNormal { min: 32, median: 200, max: 4096, spread: 3.0 });
        assert!((190..=210).contains(&draws[5000]), "{}", draws[5000]);
        // One deviation above: 84 % are shorter than 600.
        assert!((550..=650).contains(&draws[8413]), "{}", draws[8413]);
        assert_eq!((draws[0], draws[9999]), (32, 4096));
    }
}
