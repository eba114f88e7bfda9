/** `aegis-guest --help`: what an instance can do, on one screen. */
export const GUEST_HELP = `aegis-guest - this instance, and the instances below it

  aegis-guest self                             who I am, and what I may do
  id=$(aegis-guest spawn --name job -- CMD)    create a child and wait until it runs
  aegis-guest wait job                         until it has ended; ends with its exit code
  aegis-guest logs job                         what it printed

Children
  spawn [options] -- CMD                       create one; prints its id
  ls | info NAME                               what there is
  exec [-it] NAME -- CMD                       a command in it; ends with its exit code
  logs NAME [-f] [--tail N]                    what it printed
  wait NAME [--timeout 5m]                     until it has ended
  start | stop | delete NAME                   stopped ones keep their disk
  cp FILE NAME:PATH | NAME:PATH FILE           a file of its workspace, - for stdin or stdout
  expose NAME [PUBLIC:]PORT, unexpose          a public port for a port of it
  events                                       what happens to the children
This instance
  self                                         id, endpoints, capabilities
  keepalive --for 10m [--reason WHY]           stay awake; prints the lease's id
  keepalive --release [ID]                     give it back, the newest without ID
  expose [PUBLIC:]PORT | unexpose PORT         a public port for a port here
  restart                                      stop and start again

Options of every command: --json for machines, --help for more.
Exit codes: the command's own for exec and wait, 1 error, 2 wrong command line, 126 and 127 as in a shell.
The same over HTTP: $AEGIS_GUEST_API, and aegis-mcp-guest for agents.
`;
