//! What the oscillators do to each other: `(K/N) Σ_j s_ij sin(θ_j − θ_i)` for all i, without N² terms.
//!
//! ```text
//!   Σ_j s_ij sin(θ_j − θ_i) = cos θ_i · Σ_j s_ij sin θ_j − sin θ_i · Σ_j s_ij cos θ_j
//!     s_ij = 1                       both sums are those of all              O(N)
//!     s_ij = 1 − |skill_i − skill_j| both sums are prefix sums over skills   O(N), once sorted
//! ```
//! Both are the plain sum, term by term, in another order; no approximation.

use super::kuramoto::Workspace;

/// How strongly pairs of oscillators pull at each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights<'a> {
    /// All alike, 1.
    Uniform,
    /// `1 − |skill_i − skill_j|`: skills in ascending order, one an oscillator.
    Similarity(&'a [f64]),
}

/// The pull of all oscillators on each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coupling<'a> {
    /// K in radians per hour. Negative drives apart.
    pub strength: f64,
    /// The weights `s_ij`.
    pub weights: Weights<'a>,
    /// 1 for Kuramoto's coupling. With M > 1 the sums of `sin m(θ_j − θ_i) / m`, m = 2..=M, unweighted, are added: for negative K
    /// they drive the oscillators into even distances and not only apart (splay-state control; R. Sepulchre, D. Paley, N. Leonard,
    /// *Stabilization of planar collective motion: all-to-all communication*, IEEE Transactions on Automatic Control 52, 2007).
    pub harmonics: u32,
}

impl Coupling<'_> {
    /// Adds the pull to `velocities`, given the sines and cosines of the phases in the workspace.
    pub(super) fn add_to(&self, velocities: &mut [f64], workspace: &mut Workspace) {
        let count = velocities.len();
        let scale = self.strength / count as f64;
        let (sines, cosines) = (&workspace.sines[..count], &workspace.cosines[..count]);
        match self.weights {
            Weights::Uniform => add_uniform(scale, sines, cosines, velocities),
            Weights::Similarity(skills) => add_similar(scale, &skills[..count], sines, cosines, velocities),
        }
        if self.harmonics > 1 {
            self.add_harmonics(velocities, workspace);
        }
    }

    /// Sines and cosines of the multiples follow from those of the phases by the addition theorem.
    fn add_harmonics(&self, velocities: &mut [f64], workspace: &mut Workspace) {
        let count = velocities.len();
        let (sines, cosines) = (&workspace.sines[..count], &workspace.cosines[..count]);
        workspace.multiple_sines.clear();
        workspace.multiple_sines.extend_from_slice(sines);
        workspace.multiple_cosines.clear();
        workspace.multiple_cosines.extend_from_slice(cosines);
        for multiple in 2..=self.harmonics {
            let multiples = workspace.multiple_sines.iter_mut().zip(&mut workspace.multiple_cosines);
            for ((multiple_sine, multiple_cosine), (sine, cosine)) in multiples.zip(sines.iter().zip(cosines)) {
                (*multiple_sine, *multiple_cosine) = (
                    *multiple_sine * cosine + *multiple_cosine * sine,
                    *multiple_cosine * cosine - *multiple_sine * sine,
                );
            }
            let scale = self.strength / (count as f64 * f64::from(multiple));
            add_uniform(scale, &workspace.multiple_sines, &workspace.multiple_cosines, velocities);
        }
    }
}

fn add_uniform(scale: f64, sines: &[f64], cosines: &[f64], velocities: &mut [f64]) {
    let (sine_sum, cosine_sum) = (scale * sum(sines), scale * sum(cosines));
    for ((velocity, sine), cosine) in velocities.iter_mut().zip(sines).zip(cosines) {
        *velocity += sine_sum * cosine - cosine_sum * sine;
    }
}

/// With A, B the sums of x and of skill · x over all and a, b those over the oscillators up to i,
/// `Σ_j (1 − |skill_i − skill_j|) x_j = A (1 + skill_i) − B − 2 (skill_i a − b)`.
fn add_similar(scale: f64, skills: &[f64], sines: &[f64], cosines: &[f64], velocities: &mut [f64]) {
    let (sine_sum, cosine_sum) = (sum(sines), sum(cosines));
    let (mut skilled_sine_sum, mut skilled_cosine_sum) = (0.0, 0.0);
    for ((skill, sine), cosine) in skills.iter().zip(sines).zip(cosines) {
        skilled_sine_sum += skill * sine;
        skilled_cosine_sum += skill * cosine;
    }
    let (mut sine_before, mut cosine_before, mut skilled_sine_before, mut skilled_cosine_before) = (0.0, 0.0, 0.0, 0.0);
    for (((velocity, skill), sine), cosine) in velocities.iter_mut().zip(skills).zip(sines).zip(cosines) {
        sine_before += sine;
        cosine_before += cosine;
        skilled_sine_before += skill * sine;
        skilled_cosine_before += skill * cosine;
        let weighted_sine =
            sine_sum * (1.0 + skill) - skilled_sine_sum - 2.0 * (skill * sine_before - skilled_sine_before);
        let weighted_cosine =
            cosine_sum * (1.0 + skill) - skilled_cosine_sum - 2.0 * (skill * cosine_before - skilled_cosine_before);
        *velocity += scale * (weighted_sine * cosine - weighted_cosine * sine);
    }
}

/// The sum in four interleaved parts: always in that order, and four times as fast as one chain.
pub(super) fn sum(values: &[f64]) -> f64 {
    let (quads, rest) = values.as_chunks::<4>();
    let mut parts = [0.0_f64; 4];
    for quad in quads {
        for (part, value) in parts.iter_mut().zip(quad) {
            *part += value;
        }
    }
    let mut sum = (parts[0] + parts[2]) + (parts[1] + parts[3]);
    for value in rest {
        sum += value;
    }
    sum
}
