//! The exploration: a [`Scenario`] is a model, and every state it leads to is looked at.

use std::time::Instant;

use super::properties;
use super::scenario::Scenario;
use super::words;
use super::world::{Action, World};
use stateright::{Checker, HasDiscoveries, Model, Path, Property};

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
    /// The property that fell, and how.
    counter_example: Option<(&'static str, Path<World, Action>)>,
    /// What was never seen though it should have been.
    missed: Vec<&'static str>,
}

/// Looks at every state of a scenario, or until a property falls; then the shortest way there is
/// looked for.
pub(crate) fn explore(title: &str, scenario: &Scenario) -> Explored {
    let checker = || scenario.clone().checker();
    let failure = HasDiscoveries::AnyFailures;
    let every = checker().threads(2).finish_when(failure).spawn_dfs();
    let every = run(title, scenario, every);
    if every.counter_example.is_none() {
        println!("{title}: {}", words::HOLDS);
        return every;
    }
    let shortest = checker().finish_when(HasDiscoveries::AnyFailures);
    let found = run(title, scenario, shortest.spawn_bfs());
    if let Some((property, path)) = &found.counter_example {
        print!("{title}: {}", words::tell(property, path));
    }
    found
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
    let mut discoveries = checker.discoveries();
    let (mut fallen, mut missed) = (Vec::new(), Vec::new());
    for property in properties::all(scenario.budget) {
        match (property.expectation, discoveries.remove(property.name)) {
            (stateright::Expectation::Sometimes, None) => missed.push(property.name),
            (stateright::Expectation::Sometimes, Some(_)) | (_, None) => {}
            (_, Some(path)) => fallen.push((property.name, path)),
        }
    }
    Explored {
        counter_example: fallen.into_iter().next(),
        missed,
    }
}

impl Explored {
    /// Every property held, and what the exploration is about was seen.
    pub(crate) fn holds(&self) {
        if let Some((property, _)) = &self.counter_example {
            panic!("it does not hold that {property}");
        }
        assert_eq!(self.missed, Vec::<&str>::new(), "never seen");
    }

    /// This property fell.
    pub(crate) fn violates(&self, expected: &str) {
        let fallen = self.counter_example.as_ref().map(|(property, _)| *property);
        assert_eq!(fallen, Some(expected));
    }
}
