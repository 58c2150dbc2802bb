//! Exact fractions of `i128`, separate from the program so that the tests share no arithmetic with it.

use std::cmp::Ordering;
use std::fmt;

/// A fraction in lowest terms with a positive denominator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Q {
    num: i128,
    den: i128,
}

impl Q {
    pub const ZERO: Self = Self { num: 0, den: 1 };

    pub fn new(num: i128, den: i128) -> Self {
        assert!(den != 0, "a denominator of zero");
        let divisor = gcd(num.unsigned_abs(), den.unsigned_abs()).max(1) as i128 * den.signum();
        Self {
            num: num / divisor,
            den: den / divisor,
        }
    }

    pub fn int(num: i128) -> Self {
        Self::new(num, 1)
    }

    /// Parses `7`, `7/3`, `-1/2` or a decimal such as `0.4`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some((num, den)) = text.split_once('/') {
            let den: i128 = den.parse().ok().filter(|d| *d != 0)?;
            return Some(Self::new(num.parse().ok()?, den));
        }
        let Some((whole, decimals)) = text.split_once('.') else {
            return text.parse().ok().map(Self::int);
        };
        let den = 10i128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
        let digits: i128 = format!("{whole}{decimals}").parse().ok()?;
        Some(Self::new(digits, den))
    }

    pub fn plus(self, other: Self) -> Self {
        Self::new(self.num * other.den + other.num * self.den, self.den * other.den)
    }

    pub fn minus(self, other: Self) -> Self {
        self.plus(Self {
            num: -other.num,
            den: other.den,
        })
    }

    pub fn times(self, other: Self) -> Self {
        Self::new(self.num * other.num, self.den * other.den)
    }

    pub fn over(self, other: Self) -> Self {
        Self::new(self.num * other.den, self.den * other.num)
    }

    pub fn distance(self, other: Self) -> Self {
        let difference = self.minus(other);
        Self {
            num: difference.num.abs(),
            den: difference.den,
        }
    }

    /// Converts to a float, only for comparisons with a manifest.
    pub fn to_f64(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Ord for Q {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.num * other.den).cmp(&(other.num * self.den))
    }
}

impl PartialOrd for Q {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Q {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}
