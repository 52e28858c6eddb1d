//! The `warmfront` binary: a sidecar that keeps a warm HTTP cache in front of an API. Everything is in [`warmfront::cli`].

/// Faster than the system's allocator where many small objects live long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    warmfront::cli::main()
}
