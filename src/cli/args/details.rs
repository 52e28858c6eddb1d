//! What `--help` says of each command below its flags.

pub(super) const EXAMPLES: &str = "\
Examples:
  warmfront run --upstream http://127.0.0.1:9000    a shared cache in front of that API
  warmfront run --config warmfront.toml             everything as the file says
  warmfront check --config warmfront.toml           every fault of the file, with line and fix
  warmfront check --schema > warmfront.schema.json  the file's JSON Schema, for editors
  warmfront plan                                    what would be warmed, and when
  warmfront demo                                    a slow sample API, and what to try
  warmfront learn /var/log/nginx/access.log         a warm plan of what is asked for most
  warmfront warm --group schools                    warm it now, on the sidecar that runs
  warmfront purge --tag channels --warm             replace what is stored, without a hole
  warmfront stats --watch                           how it does
  warmfront explain '/api/brands?page=1'            what would become of a request, and why
  warmfront top                                     a running sidecar, live
  warmfront logs --follow                           its events, as they come

Exit codes: 0 done, 1 the work failed, 2 wrong usage.";

pub(super) const RUN_DETAIL: &str = "\
Examples:
  warmfront run --upstream http://127.0.0.1:9000
  warmfront run --upstream http://api:9000 --listen 0.0.0.0:8080 --max-bytes 1GiB
  warmfront run --set warm.concurrency=8 --set key.query_ignore=utm_*,fbclid
  WARMFRONT_CACHE__DEFAULT_TTL=30s warmfront run --config warmfront.toml

Each key outside of [[lists]] can be set by the environment: WARMFRONT_ and its path in
capitals, with __ for each dot; and by --set KEY=VALUE. Items of a list are separated by commas.
Order: defaults < file < environment < --set < flags of their own.
Events go to stderr, or to logs.file, one JSON object on each line: requests as logs.sample_rate
says, trouble, and who changes what through the admin API. WARMFRONT_LOG says which (error, warn,
info, debug, or target=level,...); the default is warn,warmfront::request=info,
warmfront::audit=info,warmfront::life=info.

SIGHUP reads the configuration again and keeps the cache. SIGTERM and SIGINT let requests
under way finish (server.drain_timeout); a second one ends at once. SIGUSR1 opens logs.file again.";

pub(super) const CHECK_DETAIL: &str = "\
Examples:
  warmfront check
  warmfront check --config /etc/warmfront.toml --connect
  warmfront check --set cache.max_bytes=1GiB --set warm.max_rate=20
  warmfront check --format json | jq -r '.faults[] | [.place, .key, .fix] | @tsv'
  warmfront check --schema > warmfront.schema.json

Editors: with `#:schema ./warmfront.schema.json` as the first line of a file, taplo and
VS Code (Even Better TOML) complete keys and underline what is wrong.";

pub(super) const COMPLETIONS_DETAIL: &str = "\
Examples:
  source <(warmfront completions bash)                                        this shell
  warmfront completions bash > ~/.local/share/bash-completion/completions/warmfront
  warmfront completions zsh > ~/.zfunc/_warmfront     with fpath+=~/.zfunc before compinit
  warmfront completions fish > ~/.config/fish/completions/warmfront.fish
  warmfront completions powershell >> $PROFILE
  warmfront completions elvish >> ~/.config/elvish/rc.elv";

pub(super) const PLAN_DETAIL: &str = "\
Examples:
  warmfront plan                                    the first 20 requests of each group
  warmfront plan --group brands --items all
  warmfront plan --offline --format json | jq '.groups[].counts'
  warmfront plan --admin                            what a running sidecar has of it already
  warmfront plan --admin http://10.0.0.7:9180 --group brands

Nothing is warmed. The lists of [[warm.groups.sources]] are asked for once, through the configured
upstream (not with --offline): one that fails is shown, the rest is planned, and the exit code is 1.

Groups come in the order in which they go, the highest priority first, and each group's requests
too; a live sidecar takes what is read most of each thousand first. Next runs are told as if the
sidecar started now, without the jitter of up to a twentieth of an interval.

With --admin the running sidecar is asked (GET /api/warm/plan): what is fresh and for how long,
what did not go well the last time, and what a run would cost the origin. Where it is: the URL,
else WARMFRONT_ADMIN, else admin.listen of the configuration; the token: WARMFRONT_ADMIN__TOKEN,
else admin.token.";

pub(super) const LEARN_DETAIL: &str = "\
Examples:
  warmfront learn /var/log/nginx/access.log
  warmfront learn access.log access.log.1 --top 500 --output learned.toml
  zcat access.log.*.gz | warmfront learn -
  warmfront learn access.log --host api.example.com --format table

Compressed logs are not unpacked here: pipe zcat, as above.

Formats, recognised line by line: NCSA common and combined (nginx, Apache, Traefik), also with
the virtual host first; JSON lines of nginx, Caddy, Envoy, Traefik and the like. Columns behind
the user agent are read if they have a label, as in this log_format of nginx:
  '... \"$http_user_agent\" rt=$request_time urt=\"$upstream_response_time\" cs=$upstream_cache_status'
Without a label the first number with a fraction is the time of the request in seconds, and HIT,
MISS and so on are the cache status. In JSON a `duration` or `latency` with a fraction, or written
by Caddy, is in seconds, a whole one in milliseconds.

What counts: GET and HEAD with status 200, 203, 204, 300, 301, 304 or 308; with a cache status in
the log only what was not answered from cache. What is normalised in the cache's key (query_ignore,
query_sort) is one query here too, and paths under a rule with pass or per_identity stay out.
Queries with a parameter named like a secret (token, api_key, password, signature ...) stay out as
well: a plan is a file that people commit. Read it before you do.

Weight: misses x the origin's time, else the request's, else 100 ms.";

pub(super) const TOP_DETAIL: &str = "\
Examples:
  warmfront top
  warmfront top --admin http://10.0.0.7:9180 --interval 5s

Keys: Tab goes from table to table, arrows, Page Up and Down, Home and End through it; s sorts the
keys by hits, bytes, age or time left; w warms the group that is marked; ? explains; q, Esc and
Ctrl-C end it.

Rates are those of the last interval, latencies those of the last ten seconds, as the buckets of
/metrics tell them. While the sidecar is away the last picture stays, and it is asked again.

Where the sidecar is: --admin, else WARMFRONT_ADMIN, else admin.listen of the configuration; the
token: WARMFRONT_ADMIN__TOKEN, else admin.token. It draws on a terminal only, in colour unless
NO_COLOR is set.";
