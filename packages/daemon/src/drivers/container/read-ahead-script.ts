/**
 * Has the kernel read pages of other processes from swap: in bulk, beside what they do, where each page that they touch
 * would make them wait for the disk alone. Node makes no system calls; Perl does, without any module, and is part of
 * every Debian.
 *
 *  perl -e SCRIPT note FILE SECONDS,... PID ...    writes down what of their memory is there, after each of these waits (from
 *                                                  Linux 6.7 on, which tells)
 *  perl -e SCRIPT read FILE SECONDS|never PID ...  reads what is noted, and so long afterwards whatever else is in swap, at
 *                                                  once where nothing is noted
 *
 * Numbers are the kernel's, the same on x86-64 and arm64. All counts are bounded, for what is mapped is up to the processes.
 */
export const READ_AHEAD_SCRIPT = String.raw`
use strict;
my ($verb, $note, $waits, @pids) = @ARGV;
my ($PIDFD_OPEN, $PROCESS_MADVISE, $WILLNEED) = (434, 440, 3);
my ($PAGEMAP_SCAN, $PRESENT, $ZERO_PAGE) = (0xc0606610, 8, 32);
my ($REGIONS, $MOST_RANGES, $MOST_BYTES, $MOST_SECONDS) = (20_000, 200_000, 256 << 30, 10);
# a call holds the lock of the process's mappings, so it has to be short
my ($PIECE, $VECTOR) = (2 << 20, 500);
# reading what lies between costs less than another read
my $GAP = 32 << 10;
alarm $MOST_SECONDS;

# which process it is, since numbers come again
sub started {
  open(my $stat, '<', "/proc/$_[0]/stat") or return 0;
  return (split / /, (split /\) /, <$stat>)[-1])[19];
}

# @returns [start, end, whether it is memory of its own]; what is the kernel's, or may not be touched, is left out
sub mappings {
  my @all;
  open(my $maps, '<', "/proc/$_[0]/maps") or return;
  while (<$maps>) {
    last if @all == $MOST_RANGES;
    my ($start, $end, $rights, $inode, $name) = /^(\w+)-(\w+) (\S+) \S+ \S+ (\d+)\s*(\S*)/ or next;
    push @all, [hex $start, hex $end, $inode == 0 || $rights =~ /^.w.p/] unless $rights =~ /^---/ or $name =~ /^\[v/;
  }
  return @all;
}

# @returns [start, length] of what is there
sub present {
  my ($pid) = @_;
  my $top = (sort { $b <=> $a } map { $$_[1] } mappings($pid))[0] or return;
  open(my $pagemap, '<', "/proc/$pid/pagemap") or return;
  my $regions = "\0" x (24 * $REGIONS);
  my ($start, @ranges) = (0);
  while ($start < $top and @ranges < $MOST_RANGES) {
    my @output = (unpack('Q', pack('p', $regions)), $REGIONS, 0);
    my $wish = pack('Q12', 96, 0, $start, $top, 0, @output, $ZERO_PAGE, $PRESENT | $ZERO_PAGE, 0, $PRESENT);
    my $found = ioctl($pagemap, $PAGEMAP_SCAN, $wish) or return;
    my @found = unpack('Q' . 3 * $found, $regions);
    while (my ($from, $to) = splice @found, 0, 3) {
      if (@ranges and $from - $ranges[-1][0] - $ranges[-1][1] <= $GAP) { $ranges[-1][1] = $to - $ranges[-1][0] }
      else { push @ranges, [$from, $to - $from] }
      $start = $to;
    }
    last if $found < $REGIONS;
  }
  return @ranges;
}

# @returns calls, one after the other: which process, when it was started, how many ranges, and these
sub calls {
  my ($pid, @ranges) = @_;
  my ($started, $calls) = (started($pid), '');
  while (@ranges) {
    my ($bytes, @call) = (0);
    while (@ranges and @call < 2 * $VECTOR and $bytes < $PIECE) {
      my ($start, $length) = @{$ranges[0]};
      my $part = $length < $PIECE ? $length : $PIECE;
      $bytes += $part;
      push @call, $start, $part;
      if ($part == $length) { shift @ranges } else { $ranges[0] = [$start + $part, $length - $part] }
    }
    $calls .= pack('Q*', $pid, $started, @call / 2, @call);
  }
  return $calls;
}

# several times, since what is touched first is to be read first; what is noted twice costs little the second time
sub note {
  my ($calls, $count) = ('', 0);
  for my $wait (split /,/, $waits) {
    select(undef, undef, undef, $wait);
    for my $pid (@pids) {
      my @ranges = present($pid);
      last if ($count += @ranges) > $MOST_RANGES;
      $calls .= calls($pid, @ranges);
    }
  }
  open(my $file, '>', "$note.new") or die "$note: $!\n";
  print $file $calls and close $file and rename "$note.new", $note or die "$note: $!\n";
}

my %open;
# @returns a descriptor of that process, and of no later one of the same number; undef when it is gone
sub process {
  my ($pid, $started) = @_;
  unless (exists $open{$pid}) {
    my $descriptor = syscall($PIDFD_OPEN, $pid + 0, 0);
    $open{$pid} = $descriptor >= 0 && started($pid) == $started ? $descriptor : undef;
  }
  return $open{$pid};
}

sub follow {
  my ($calls) = @_;
  for (my $at = 0; $at < length $calls; ) {
    my ($pid, $started, $count) = unpack('Q3', substr $calls, $at, 24);
    my $vector = substr $calls, $at + 24, 16 * $count;
    $at += 24 + 16 * $count;
    my $process = process($pid, $started);
    advise($process, $vector) if defined $process;
  }
}

# what has been unmapped since is left out
sub advise {
  my ($process, $vector) = @_;
  while (my @numbers = unpack('Q*', $vector)) {
    my $done = syscall($PROCESS_MADVISE, $process, $vector, @numbers / 2, $WILLNEED, 0);
    while (@numbers and $done >= $numbers[1]) { $done -= $numbers[1]; splice @numbers, 0, 2 }
    splice @numbers, 0, 2;
    $vector = pack('Q*', @numbers);
  }
}

sub noted {
  open(my $file, '<', $note) or return 0;
  local $/;
  follow(scalar <$file>);
  return 1;
}

sub rest {
  my $bytes = 0;
  for my $pid (@pids) {
    my @own = map { [$$_[0], $$_[1] - $$_[0]] } grep { $$_[2] } mappings($pid);
    $bytes += $$_[1] for @own;
    return if $bytes > $MOST_BYTES;
    follow(calls($pid, @own));
  }
}

if ($verb eq 'note') { note() }
else {
  my $is_noted = noted();
  exit if $waits eq 'never';
  select(undef, undef, undef, $waits) if $is_noted;
  rest();
}
`;
