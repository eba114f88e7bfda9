# Does what the host asks for, a line a wish, and answers each with a line. Only the host can write to this port: nothing of
# the instance sees it. One process that stays, since under emulation each further one costs a hundred milliseconds
# after a restore; and in a language that can make system calls, since no program of busybox does what is needed here.
#
# agent.pl INIT HOSTNAME [ADDRESS GATEWAY]: INIT is a process of the instance; stdin and stdout are the port.
#
# Numbers are those of x86-64: of system calls, and of ioctls and flags as the kernel's headers have them.
$| = 1;
my ($init, $hostname, @network) = @ARGV;
my %SYS = (sync => 162, sethostname => 170, clock_gettime => 228, clock_adjtime => 305, setns => 308);
my ($NEWNET, $NEWUTS) = (0x40000000, 0x04000000);
my ($ADD_ENTROPY, $RESEED) = (0x40085203, 0x5207);
my ($SET_FLAGS, $SET_ADDRESS, $SET_MASK, $SET_HARDWARE, $ADD_ROUTE) = (0x8914, 0x8916, 0x891c, 0x8924, 0x890b);
my ($UP, $GATEWAY, $HOST) = (1, 2, 4);
my $ETHER = 1;

# the words are the caller's own, since the kernel writes into some of them
sub call {
  my $name = shift;
  syscall($SYS{$name}, @_) == -1 and die "$name: $!\n";
}

# in a namespace of the instance
sub inside {
  my ($kind, $flag, $do) = @_;
  open(my $here, '<', "/proc/self/ns/$kind") or die "own $kind: $!\n";
  open(my $there, '<', "/proc/$init/ns/$kind") or die "$kind of the instance: $!\n";
  call('setns', fileno($there), $flag);
  my $done = eval { $do->(); 1 };
  my $why = $@;
  call('setns', fileno($here), $flag);
  die $why unless $done;
}

sub bytes { pack('C4', split(/\./, $_[0])) }
sub internet { pack('Sx2a4x8', 2, bytes($_[0])) }
sub set {
  my ($socket, $what, $value) = @_;
  ioctl($socket, $what, pack('a16a24', 'eth0', $value)) or die sprintf("ioctl %x: %s\n", $what, $!);
}

sub route {
  my ($socket, $to, $gateway, $mask, $flags) = @_;
  my $device = "eth0\0";
  my $wish = pack('x8a16a16a16Sx2x4x8x8sx6px8x8x8', internet($to), internet($gateway), internet($mask), $flags, 0, $device);
  ioctl($socket, $ADD_ROUTE, $wish) or die "route: $!\n";
}

sub write_file {
  my ($name, $text) = @_;
  open(my $file, '>', $name) or die "$name: $!\n";
  syswrite($file, $text) == length($text) or die "$name: $!\n";
}

sub name_files {
  my ($address, $gateway) = @_;
  write_file('/vm/files/hostname', "$hostname\n");
  write_file('/vm/files/resolv.conf', "nameserver $gateway\n");
  write_file('/vm/files/hosts', "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n$address\t$hostname\n");
}

# an address that nobody else has makes a hardware address that nobody else has
sub network {
  my ($address, $gateway) = @_;
  inside('net', $NEWNET, sub {
    socket(my $socket, 2, 2, 0) or die "socket: $!\n";
    set($socket, $SET_FLAGS, pack('s', 0));
    set($socket, $SET_HARDWARE, pack('Sa2a4', $ETHER, "\x02a", bytes($address)));
    set($socket, $SET_ADDRESS, internet($address));
    set($socket, $SET_MASK, internet('255.255.255.255'));
    set($socket, $SET_FLAGS, pack('s', $UP));
    route($socket, $gateway, '0.0.0.0', '255.255.255.255', $UP | $HOST);
    route($socket, '0.0.0.0', $gateway, '0.0.0.0', $UP | $GATEWAY);
  });
  name_files($address, $gateway);
}

# what is mixed in reaches what programs draw only when the kernel makes a new key of it, which it would do within a minute
sub seed {
  my $seed = pack('H*', $_[0]);
  open(my $random, '>', '/dev/urandom') or die "/dev/urandom: $!\n";
  ioctl($random, $ADD_ENTROPY, pack('iia*', 8 * length($seed), length($seed), $seed)) or die "seed: $!\n";
  my $nothing = 0;
  ioctl($random, $RESEED, $nothing) or die "reseed: $!\n";
}

# another machine from here on, as whoever takes up a snapshot is; what is as it was is let alone, which is faster
sub become {
  my ($seed, $name, @where) = @_;
  seed($seed);
  return if $name eq $hostname && "@where" eq "@network";
  if ($name ne $hostname) {
    $hostname = $name;
    inside('uts', $NEWUTS, sub { call('sethostname', $hostname, length($hostname)) });
  }
  network(@where);
  @network = @where;
}

sub now {
  my $time = "\0" x 16;
  call('clock_gettime', 0, $time);
  my ($seconds, $nanoseconds) = unpack('qq', $time);
  return sprintf('%d%09d', $seconds, $nanoseconds);
}

# by so many nanoseconds: how long the wish took to arrive does not matter
sub step {
  my $by = $_[0];
  my $second = 1_000_000_000;
  my $rest = $by % $second;
  my $wish = pack('Lx68qq', 0x2100, ($by - $rest) / $second, $rest) . "\0" x 120;
  call('clock_adjtime', 0, $wish);
}

# before a snapshot that is used often: what can be read again need not be in it, and the kernel gives what is free back
# to the host two seconds later
sub shed {
  call('sync');
  write_file('/proc/sys/vm/drop_caches', "3\n");
  write_file('/proc/sys/vm/compact_memory', "1\n");
  select(undef, undef, undef, 4);
}

my %WISHES = (
  become => \&become,
  time => \&now,
  step => sub { step(@_); return },
  memory => sub { my $counts = `sh /vm/memory.sh`; chomp($counts); return $counts },
  settle => sub { call('sync'); return },
  shed => sub { shed(); return },
);

sub answer {
  my ($id, $wish, @words) = split(/ /, $_[0]);
  my $said = eval { ($WISHES{$wish} or die "there is no such wish\n")->(@words) };
  my $why = $@;
  chomp($why);
  return $why eq '' ? "$id ok " . (defined($said) ? $said : '') . "\n" : "$id failed $why\n";
}

# What the kernel counts of refused processes is gone with the instance's group, before anybody asks why the instance has
# ended: the first one is told at once.
my $refusals;
sub watch_refusals { open($refusals, '<', '/sys/fs/cgroup/instance/run/pids.events') and note_refusals() }
sub note_refusals {
  sysseek($refusals, 0, 0);
  my $read = sysread($refusals, my $counts, 4096);
  my ($times) = ($counts // '') =~ /^max (\d+)/m;
  print STDOUT "refused $times\n" if $times;
  undef $refusals if !$read || $times;
}

# until the host says something
sub await_host {
  while (defined($refusals)) {
    my ($said, $counted) = ('', '');
    vec($said, fileno(STDIN), 1) = 1;
    vec($counted, fileno($refusals), 1) = 1;
    next if select($said, undef, $counted, undef) < 0;
    note_refusals() if vec($counted, fileno($refusals), 1);
    return if vec($said, fileno(STDIN), 1);
  }
}

# before whatever else is due in a machine that was just taken up: until it has done its part nobody is let in
setpriority(0, 0, -20);
network(@network) if @network == 2;
watch_refusals();
my $buffer = '';
for (;;) {
  await_host();
  my $got = sysread(STDIN, $buffer, 4096, length($buffer));
  # nobody is at the other end: the daemon is being started anew
  if (!$got) { $buffer = ''; select(undef, undef, undef, 0.05); next; }
  # not by an expression: after a restore each further part of Perl has to be translated first, and somebody waits
  while ((my $end = index($buffer, "\n")) >= 0) {
    my $line = substr($buffer, 0, $end);
    $buffer = substr($buffer, $end + 1);
    print STDOUT answer($line);
  }
}
