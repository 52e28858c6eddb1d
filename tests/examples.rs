//! The examples do what they say: each of them returns an error if its second request was not a hit.

#[path = "../examples/axum.rs"]
mod axum_example;
#[path = "../examples/hyper.rs"]
mod hyper_example;
#[path = "../examples/service_fn.rs"]
mod service_fn_example;
#[path = "../examples/warm_axum.rs"]
mod warm_axum_example;

#[test]
fn the_axum_example_runs() {
    axum_example::main().unwrap();
}

#[test]
fn the_hyper_example_runs() {
    hyper_example::main().unwrap();
}

#[test]
fn the_service_fn_example_runs() {
    service_fn_example::main().unwrap();
}

#[test]
fn the_warm_axum_example_runs() {
    warm_axum_example::main().unwrap();
}
