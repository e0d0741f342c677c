use super::*;
use crate::renewal::event::Event;
use crate::renewal::event::tests::survives_the_store;
use crate::renewal::fixtures::*;

#[test]
fn a_call_that_was_not_sent_says_nothing_about_the_target() {
    let not_sent = |read_back_due| Event::NotSent {
        target: the_target(),
        read_back_due,
    };
    let intended = Event::InstallIntended {
        target: the_target(),
    };
    for before in [
        healthy(START),
        healthy(START).after([install_failed(1, operator())], START),
        healthy(START).after([install_lost(1)], START),
    ] {
        let due = before.targets[&the_target()].read_back_due;
        let after = before
            .clone()
            .after([intended.clone(), not_sent(due)], START);
        survives_the_store(&after);
        let target = &after.targets[&the_target()];
        assert_eq!(target.put_off, Some(Deadline::after(START, SECOND * 5)));
        let without = TargetRecord {
            put_off: None,
            ..target.clone()
        };
        assert_eq!(
            without,
            before.targets[&the_target()],
            "all else is as before"
        );
    }
}
