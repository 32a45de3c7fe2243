//! Cuts a run that fails down to what it takes to fail: delta debugging over its plan.

use super::judge::Property;
use super::plan::Plan;
use super::verdict;

/// The numbers of as few operations and faults as are found with which a plan still breaks the same
/// property, with at most so many further runs.
pub(crate) fn shrink(plan: &Plan, property: Property, mut runs: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = plan.kept();
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        let mut dropped = false;
        while at < kept.len() {
            if runs == 0 {
                return kept;
            }
            runs -= 1;
            let without: Vec<usize> = kept
                .iter()
                .enumerate()
                .filter(|(place, _)| *place < at || *place >= at + size)
                .map(|(_, number)| *number)
                .collect();
            let still = verdict(&plan.keeping(&without));
            if still.is_err_and(|broken| broken.property == property) {
                kept = without;
                dropped = true;
            } else {
                at += size;
            }
        }
        if size > 1 {
            size = size.div_ceil(2);
        } else if !dropped {
            size = 0;
        }
    }
    kept
}
