# Runs a command in a child instance as if it were this process: input, output, signals and exit code are the command's. It
# speaks the WebSocket of the Guest API's execs. In Perl, which is part of every Debian and is up in 2 ms, and without
# any module, since one for sockets alone takes longer to load than the rest of it.
#
# run-in-child.pl ADDRESS:PORT INSTANCE [NAME=VALUE ...] -- COMMAND ...
#
# Numbers are those of Linux on x86-64 and arm64, of RFC 6455, and of exec-frame.ts.
use strict;

my @given = @ARGV;
my ($api, $instance, @words) = @given;
my ($F_GETFL, $F_SETFL, $O_NONBLOCK) = (3, 4, 2048);
my ($AF_INET, $SOCK_STREAM) = (2, 1);
my ($TEXT, $BINARY, $CLOSE, $PING, $PONG) = (1, 2, 8, 9, 10);
my ($STDIN_BYTES, $STDIN_END, $SIGNAL, $STDOUT_BYTES, $STDERR_BYTES, $EXIT) = (0, 1, 3, 4, 5, 6);
my $PIECE = 64 * 1024;
# what may wait for a slower side before the faster one has to
my $HIGH_WATER = 1024 * 1024;
my ($FAILED, $BROKEN_PIPE) = (1, 128 + 13);
my $CUT_OFF = 'the command was cut off before it ended: its machine, or the daemon of the host, went away meanwhile';
# Perl runs a signal's handler between two operations, so one that comes just before a wait is seen after it
my $LOOK_AGAIN_S = 0.2;

# set for the second try
my $WAS_STARTED = 'AEGIS_WAS_STARTED';

my ($is_open, $has_input, $took_input, $is_upgraded, $code) = (1, 1, 0, 0, undef);
my ($from_host, $frames, $to_stdout, $to_stderr) = ('', '', '', '');

# after what the command has printed so far
sub fail {
  $to_stderr .= "$_[0]\n";
  ($is_open, $code) = (0, $FAILED);
}

# without a mask to speak of: it protects proxies from what browsers send
sub message {
  my ($kind, $bytes) = @_;
  my $length = length $bytes;
  my $size = $length < 126 ? pack('C', 128 + $length)
    : $length < 65536 ? pack('Cn', 128 + 126, $length)
    : pack('CQ>', 128 + 127, $length);
  return pack('C', 128 + $kind) . $size . "\0\0\0\0" . $bytes;
}
sub frame { message($BINARY, pack('CN', $_[0], length $_[1]) . $_[1]) }

sub quoted {
  my ($text) = @_;
  $text =~ s/(["\\\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
  return qq("$text");
}
sub request {
  my @env;
  while (@words and (my $word = shift @words) ne '--') {
    push @env, join ':', map { quoted($_) } split /=/, $word, 2;
  }
  return sprintf '{"env":{%s},"command":[%s]}', join(',', @env), join(',', map { quoted($_) } @words);
}

# what the host refuses it with
sub refusal {
  my ($why) = $_[0] =~ /"error":\s*"((?:[^"\\]|\\.)*)"/s or return undef;
  my %plain = (n => "\n", t => "\t", r => "\r");
  $why =~ s/\\(?:u00([0-9a-f]{2})|(.))/defined $1 ? chr hex $1 : $plain{$2} || $2/gei;
  return $why;
}

# One that ended just then is started for it, once: of a command that is refused nothing has run.
sub refuse {
  my ($text) = @_;
  my $why = refusal($text);
  return unless defined $why;
  start_and_try_again() if $text =~ /"code":\s*"wrong_state"/ and not $took_input and not $ENV{$WAS_STARTED};
  fail($why);
}

sub unblocked {
  my ($handle) = @_;
  fcntl($handle, $F_SETFL, fcntl($handle, $F_GETFL, 0) | $O_NONBLOCK);
}

my ($address, $port) = $api =~ /^(\d+\.\d+\.\d+\.\d+):(\d+)$/ or die "$api is no address of the Guest API\n";
sub connected {
  socket(my $socket, $AF_INET, $SOCK_STREAM, 0) or die "no socket: $!\n";
  connect($socket, pack('SnC4x8', $AF_INET, $port, split /\./, $address))
    or die "the Guest API at $api cannot be reached: $!\n";
  return $socket;
}
my $host = connected();
unblocked($_) for $host, \*STDOUT, \*STDERR;

(my $name = $instance) =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ge;
my $upgrade = join "\r\n", "GET /v1/instances/$name/exec HTTP/1.1", "Host: $api",
  'Connection: Upgrade', 'Upgrade: websocket',
  'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==', '', '';
# at once: the host keeps what comes before it has answered
my $to_host = $upgrade . message($TEXT, request());
for my $signal ('INT', 'TERM', 'HUP') { $SIG{$signal} = sub { $to_host .= frame($SIGNAL, "SIG$signal") } }
$SIG{PIPE} = 'IGNORE';

sub start_and_try_again {
  # whoever ends this does not wait for the host
  local $SIG{$_} = 'DEFAULT' for 'INT', 'TERM', 'HUP';
  my $call = connected();
  syswrite $call, join "\r\n", "POST /v1/instances/$name/start HTTP/1.1", "Host: $api", 'Connection: close', 'Content-Length: 0', '', '';
  1 while sysread $call, my $answer, $PIECE;
  $ENV{$WAS_STARTED} = 1;
  exec $^X, $0, @given;
}

sub take_head {
  $from_host =~ s/^(HTTP\/1\.1 101 .*?\r\n\r\n)//s and return $is_upgraded = 1;
  refuse($from_host) if is_whole($from_host);
  return 0;
}

# a refusal, with its body
sub is_whole {
  my ($head, $body) = $_[0] =~ /^(HTTP\/.*?\r\n\r\n)(.*)$/s or return 0;
  my ($length) = $head =~ /^content-length:\s*(\d+)/mi;
  return !$is_open || (defined $length && length $body >= $length);
}

# @returns kind and content of the next whole message; nothing while there is none
sub next_message {
  return if length $from_host < 2;
  my ($kind, $length) = unpack 'CC', $from_host;
  my $start = $length < 126 ? 2 : $length == 126 ? 4 : 10;
  return if length $from_host < $start;
  $length = unpack $start == 4 ? 'n' : 'Q>', substr $from_host, 2, $start - 2 if $start > 2;
  return if length $from_host < $start + $length;
  substr $from_host, 0, $start, '';
  return ($kind & 15, substr $from_host, 0, $length, '');
}

sub take_frames {
  while (length $frames >= 5) {
    my ($type, $length) = unpack 'CN', $frames;
    return if length $frames < 5 + $length;
    substr $frames, 0, 5, '';
    my $bytes = substr $frames, 0, $length, '';
    if ($type == $STDOUT_BYTES) { $to_stdout .= $bytes }
    elsif ($type == $STDERR_BYTES) { $to_stderr .= $bytes }
    elsif ($type == $EXIT) { ($code) = $bytes =~ /"code":\s*(\d+)/ or fail('the host told no exit code') }
  }
}

sub take {
  return unless $is_upgraded or take_head();
  while (my ($kind, $bytes) = next_message()) {
    if ($kind == $TEXT) { refuse($bytes) }
    elsif ($kind == $PING) { $to_host .= message($PONG, $bytes) }
    elsif ($kind == $CLOSE) { $is_open = 0 }
    else { $frames .= $bytes; take_frames() }
  }
}

sub read_host {
  my $got = sysread $host, $from_host, $PIECE, length $from_host;
  if ($got) { take() }
  elsif (defined $got or not ($!{EAGAIN} or $!{EINTR})) {
    $is_open = 0;
    take();
  }
}
sub read_stdin {
  my $got = sysread STDIN, my $bytes, $PIECE;
  return if not defined $got and ($!{EAGAIN} or $!{EINTR});
  $got ? $took_input = 1 : $has_input = 0;
  $to_host .= $got ? frame($STDIN_BYTES, $bytes) : frame($STDIN_END, '');
}
# @returns whether the other side is still there
sub pass_on {
  my ($handle, $bytes) = @_;
  my $sent = syswrite $handle, $$bytes, $PIECE;
  if (defined $sent) { substr $$bytes, 0, $sent, '' }
  return (defined $sent or $!{EAGAIN} or $!{EINTR});
}

my %number = (host => fileno $host, stdin => 0, stdout => 1, stderr => 2);
until (defined $code and $to_stdout eq '' and $to_stderr eq '') {
  fail($CUT_OFF) unless $is_open or defined $code;
  my ($reads, $writes) = ('', '');
  vec($reads, $number{host}, 1) = 1 if $is_open and length($to_stdout) + length($to_stderr) < $HIGH_WATER;
  vec($reads, $number{stdin}, 1) = 1 if $has_input and length $to_host < $HIGH_WATER;
  vec($writes, $number{host}, 1) = 1 if $is_open and $to_host ne '';
  vec($writes, $number{stdout}, 1) = 1 if $to_stdout ne '';
  vec($writes, $number{stderr}, 1) = 1 if $to_stderr ne '';
  next if select($reads, $writes, undef, $LOOK_AGAIN_S) <= 0;
  # the host may have said why it went away
  if (vec $writes, $number{host}, 1 and not pass_on($host, \$to_host)) { ($to_host, $has_input) = ('', 0) }
  if (vec $writes, $number{stdout}, 1) { pass_on(\*STDOUT, \$to_stdout) or exit $BROKEN_PIPE }
  if (vec $writes, $number{stderr}, 1) { pass_on(\*STDERR, \$to_stderr) or exit $BROKEN_PIPE }
  read_stdin() if vec $reads, $number{stdin}, 1;
  read_host() if vec $reads, $number{host}, 1;
}
exit $code;
