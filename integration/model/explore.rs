//! The exploration: a [`Scenario`] is a model, and every state it leads to is looked at.

use std::time::Instant;

use super::properties;
use super::scenario::Scenario;
use super::words;
use super::world::{Action, World};
use stateright::{Checker, HasDiscoveries, Model, Property};

impl Model for Scenario {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.actions(self, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        world.after(self, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self.budget)
    }
}

/// What an exploration came to.
pub(crate) struct Explored {
    /// The property that fell.
    fallen: Option<&'static str>,
    /// What was never seen though it should have been.
    missed: Vec<&'static str>,
}

/// Looks at every state of a scenario, or until a property falls; tells how it came to that.
pub(crate) fn explore(title: &str, scenario: &Scenario) -> Explored {
    let failure = HasDiscoveries::AnyFailures;
    let checker = scenario.clone().checker().threads(2).finish_when(failure);
    let explored = run(title, scenario, checker.spawn_dfs());
    match explored.fallen {
        None => println!("{title}: {}", words::HOLDS),
        Some(property) => hunt(scenario, property),
    }
    explored
}

/// Looks for a short way to make one property fall, whatever else falls on the way, and tells it.
pub(crate) fn hunt(scenario: &Scenario, property: &'static str) {
    let found = HasDiscoveries::AllOf([property].into());
    let checker = scenario.clone().checker().finish_when(found).spawn_bfs();
    match checker.join().discovery(property) {
        Some(path) => {
            let actions = shorten(scenario, property, path.into_actions());
            let steps = walk(scenario, &actions).unwrap_or_default();
            print!("{}", words::tell(property, &steps));
        }
        None => println!("it still holds that {property}"),
    }
}

/// Leaves out whatever can be left out of a way to a state in which a property has fallen: the
/// checker tells a way that is short, but may wander.
fn shorten(scenario: &Scenario, property: &'static str, mut way: Vec<Action>) -> Vec<Action> {
    let condition = scenario.property(property).condition;
    let falls = |way: &[Action]| {
        walk(scenario, way).is_some_and(|steps| {
            let last = steps.last().map(|(_, world)| world);
            last.is_some_and(|world| !condition(scenario, world))
        })
    };
    let mut at = way.len();
    while at > 0 {
        at -= 1;
        let mut shorter = way.clone();
        shorter.remove(at);
        if falls(&shorter) {
            way = shorter;
            at = way.len();
        }
    }
    way
}

/// The states a series of actions leads through, if each of them is possible.
fn walk(scenario: &Scenario, way: &[Action]) -> Option<Vec<(Option<Action>, World)>> {
    let mut world = World::new(scenario);
    let mut steps = vec![(None, world.clone())];
    for action in way {
        let mut possible = Vec::new();
        world.actions(scenario, &mut possible);
        world = possible
            .contains(action)
            .then(|| world.after(scenario, *action))??;
        steps.push((Some(*action), world.clone()));
    }
    Some(steps)
}

fn run(title: &str, scenario: &Scenario, checker: impl Checker<Scenario>) -> Explored {
    let began = Instant::now();
    let checker = checker.join();
    println!(
        "{title}: {} states, {} of them distinct, {} steps deep, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    let discoveries = checker.discoveries();
    let (mut fallen, mut missed) = (None, Vec::new());
    for property in properties::all(scenario.budget) {
        let found = discoveries.contains_key(property.name);
        match (property.expectation.discovery_is_failure(), found) {
            (true, true) => fallen = fallen.or(Some(property.name)),
            (false, false) => missed.push(property.name),
            (true, false) | (false, true) => {}
        }
    }
    Explored { fallen, missed }
}

impl Explored {
    /// Every property held, and what the exploration is about was seen.
    pub(crate) fn holds(&self) {
        assert_eq!(self.fallen, None);
        assert_eq!(self.missed, Vec::<&str>::new(), "never seen");
    }

    /// This property fell.
    pub(crate) fn violates(&self, expected: &str) {
        assert_eq!(self.fallen, Some(expected));
    }
}
