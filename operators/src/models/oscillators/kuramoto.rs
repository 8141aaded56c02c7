//! The equation of motion and its integrator: `dθ_i/dt = ω_i + (K/N) Σ_j s_ij sin(θ_j − θ_i)`.
//!
//! Y. Kuramoto, *Self-entrainment of a population of coupled non-linear oscillators* (1975); integrated by the classical Runge–Kutta
//! method of fourth order. Time is in hours, angles are in radians, not wrapped.

use super::coupling::{Coupling, sum};
use super::sines::sines_and_cosines;

/// Scratch space of the integrator, shared by any number of networks. It is no part of any state.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    pub(super) sines: Vec<f64>,
    pub(super) cosines: Vec<f64>,
    pub(super) multiple_sines: Vec<f64>,
    pub(super) multiple_cosines: Vec<f64>,
    pub(super) before: Vec<f64>,
    stage: Vec<f64>,
    velocities: Vec<f64>,
    increment: Vec<f64>,
}

impl Workspace {
    fn fit(&mut self, count: usize) {
        for values in [&mut self.sines, &mut self.cosines, &mut self.stage, &mut self.velocities, &mut self.increment] {
            if values.len() < count {
                values.resize(count, 0.0);
            }
        }
    }
}

/// Oscillators that are all coupled to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Oscillators<'a> {
    /// Natural frequencies `ω_i` in radians per hour; with [`super::coupling::Weights::Similarity`], in the order of the skills.
    pub frequencies: &'a [f64],
    /// Their pull at each other.
    pub coupling: Coupling<'a>,
}

impl Oscillators<'_> {
    /// Writes dθ/dt at `phases`, in radians per hour.
    pub fn velocities(&self, phases: &[f64], velocities: &mut [f64], workspace: &mut Workspace) {
        let count = phases.len();
        workspace.fit(count);
        sines_and_cosines(phases, &mut workspace.sines[..count], &mut workspace.cosines[..count]);
        velocities.copy_from_slice(self.frequencies);
        self.coupling.add_to(velocities, workspace);
    }

    /// Moves `phases` on by one Runge–Kutta step. Its error is of fifth order in `step_hours`.
    pub fn step(&self, phases: &mut [f64], step_hours: f64, workspace: &mut Workspace) {
        /// Where the next stage is taken, and how much each stage weighs, in steps.
        const STAGES: [(f64, f64); 4] = [(0.5, 1.0 / 6.0), (0.5, 1.0 / 3.0), (1.0, 1.0 / 3.0), (0.0, 1.0 / 6.0)];
        let count = phases.len();
        workspace.fit(count);
        // The scratch vectors are taken out while the workspace is lent to the coupling.
        let mut stage = std::mem::take(&mut workspace.stage);
        let mut velocities = std::mem::take(&mut workspace.velocities);
        let mut increment = std::mem::take(&mut workspace.increment);
        {
            let (stage, velocities, increment) =
                (&mut stage[..count], &mut velocities[..count], &mut increment[..count]);
            stage.copy_from_slice(phases);
            increment.fill(0.0);
            for (number, (reach, weight)) in STAGES.into_iter().enumerate() {
                self.velocities(stage, velocities, workspace);
                let (reach, weight) = (reach * step_hours, weight * step_hours);
                for (increment, velocity) in increment.iter_mut().zip(&*velocities) {
                    *increment += weight * velocity;
                }
                if number < 3 {
                    for ((stage, phase), velocity) in stage.iter_mut().zip(&*phases).zip(&*velocities) {
                        *stage = phase + reach * velocity;
                    }
                }
            }
            for (phase, increment) in phases.iter_mut().zip(&*increment) {
                *phase += increment;
            }
        }
        (workspace.stage, workspace.velocities, workspace.increment) = (stage, velocities, increment);
    }
}

/// The order parameter `r e^{iψ} = (1/N) Σ e^{iθ}`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// r in [0, 1]; 0 of no oscillators.
    pub coherence: f64,
    /// ψ in (−π, π]; 0 of no oscillators. Where r is about 0 it says nothing.
    pub mean_phase: f64,
}

impl Order {
    /// The order parameter of `phases`.
    pub fn of(phases: &[f64], workspace: &mut Workspace) -> Self {
        let count = phases.len();
        if count == 0 {
            return Order { coherence: 0.0, mean_phase: 0.0 };
        }
        workspace.fit(count);
        let (sines, cosines) = (&mut workspace.sines[..count], &mut workspace.cosines[..count]);
        sines_and_cosines(phases, sines, cosines);
        let (sine, cosine) = (sum(sines) / count as f64, sum(cosines) / count as f64);
        Order { coherence: (sine * sine + cosine * cosine).sqrt().min(1.0), mean_phase: libm::atan2(sine, cosine) }
    }
}

/// The angle in [0, 2π).
pub fn wrapped(angle: f64) -> f64 {
    use std::f64::consts::TAU;
    if (0.0..TAU).contains(&angle) {
        return angle;
    }
    let rest = angle - TAU * (angle / TAU).floor();
    // Rounding may leave the rest at either edge.
    if (0.0..TAU).contains(&rest) { rest } else { 0.0 }
}

/// The way from `other` to `angle` by the shorter arc, in (−π, π].
pub fn ahead_of(angle: f64, other: f64) -> f64 {
    use std::f64::consts::{PI, TAU};
    let rest = wrapped(angle - other);
    if rest > PI { rest - TAU } else { rest }
}

#[cfg(test)]
#[path = "physics_tests.rs"]
mod tests;
