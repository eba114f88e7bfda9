/** `aegis --help`: one screen, the way from nothing to a running instance first. */
export const ROOT_HELP = `aegis - isolated instances that sleep when idle and wake on the first connection

  aegis up                                   start aegisd (through sudo when needed)
  aegis run -- echo hello                    run a command in a new instance
  aegis run --expose 8080:80 -- CMD          ... and reach its port 80 at localhost:8080
  aegis down                                 stop everything

Daemon
  up, down [--keep]                          start it; stop it, instances too
  status, doctor                             how it is; what this machine lacks
Instances
  run [options] -- CMD                       create, follow, end with its exit code
  instance start [options] [NAME] [-- CMD]   create one, or start a stopped one
  instance list | info NAME                  what there is
  instance stop | restart NAME               a stopped one wakes on a connection
  instance pause | resume | disable NAME     freeze; go on; stop for good
  instance hibernate NAME                    freeze, memory on disk
  instance set NAME --idle-timeout 5m        when it sleeps and starts again
  instance expose NAME [PUBLIC:]PORT         a public port; unexpose NAME PORT
  instance delete NAME | prune               remove one; remove old ones
  preview create | list | delete NAME        links to its site for other people
  lease acquire | list | release NAME        keep it awake for a while
  exec [-it] NAME -- CMD                     a command in an instance; wakes it
  logs NAME [-f] [--tail N]                  what it printed
  cp FILE NAME:PATH | NAME:PATH FILE         a file of its workspace
  events                                     what happens, as it happens
  audit [-f] [--refused] | audit verify      who did what; is the log whole
Secrets and images
  secret set | list | delete | rotate-key    values go in and never come out
  image pull | import | warm | list | delete where instances boot from
  image prune [--all]                        remove those that nothing uses

Kits
  kit list | setup | status claw             a bot on Telegram or in a chat page
  kit up | down claw                         start it; end it
  kit upgrade | rollback claw                another version; back again
  kit backup | restore claw FILE             what it knows

Options of every command: --json for machines, --help for more.
AEGIS_HOME moves everything from ~/.aegis to elsewhere. NO_COLOR is honoured.
`;
