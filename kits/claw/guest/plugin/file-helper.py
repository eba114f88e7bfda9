# Looks at and writes files of a sandbox for its bot: one process for as many requests as come, since a process for each
# would take longer than all of them. It does what is plain and declines everything else, of which nothing has been done
# then: links that lead out, hard links, folders that are not for writing, what is large. Those OpenClaw's own way decides.
#
# A request is a line of two numbers, then so many bytes of words with a NUL behind each (id, what, path, folders that are
# not for it) and so many of content. An answer is a line `id how length`, then so many bytes; how is ok, absent or declined.
#
# Modules are few on purpose: each takes a millisecond or more to load. Python 3.10 or later; an earlier one declines.
import os
import stat
import sys

ROOT = os.fsencode(sys.argv[1])
MOST_BYTES = int(sys.argv[2])
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Declined(Exception):
    pass


def is_in(path, folder):
    return path == folder or path.startswith(folder + b'/')


def allowed(path, others):
    if b'..' in path.split(b'/') or not is_in(path, ROOT) or any(is_in(path, other) for other in others):
        raise Declined
    return path


# where it leads; what is not there yet is below what is
def resolved(path, others):
    there, rest = allowed(path, others), b''
    while not os.path.lexists(there):
        there, name = os.path.split(there)
        rest = b'/' + name + rest
    return allowed(os.path.realpath(there, strict=True) + rest, others)


def in_its_folder(path, others):
    folder, name = os.path.split(allowed(path, others))
    if path == ROOT or name in (b'', b'.', b'..'):
        raise Declined
    folder = resolved(folder, others)
    allowed(folder + b'/' + name, others)
    return folder, name


# step by step, so that nobody can put a link into the way meanwhile
def opened(folder, makes):
    at = os.open(ROOT, FOLDER)
    try:
        for name in folder[len(ROOT):].split(b'/'):
            if name in (b'', b'.'):
                continue
            if makes:
                try:
                    os.mkdir(name, 0o777, dir_fd=at)
                except FileExistsError:
                    pass
            below = os.open(name, FOLDER, dir_fd=at)
            os.close(at)
            at = below
        return at
    except BaseException:
        os.close(at)
        raise


def regular(found):
    if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
        raise Declined
    return stat.S_ISREG(found.st_mode)


def look(path, others):
    if not os.path.lexists(allowed(path, others)):
        return None
    found = os.lstat(resolved(path, others))
    kind = 'file' if regular(found) else 'directory' if stat.S_ISDIR(found.st_mode) else 'other'
    return f'{kind} {found.st_size} {found.st_mtime_ns // 1000000}'.encode()


def read(path, others):
    folder, name = in_its_folder(path, others)
    at = opened(folder, False)
    try:
        file = os.open(name, TO_READ, dir_fd=at)
    finally:
        os.close(at)
    with open(file, 'rb', buffering=0) as source:
        if not regular(os.fstat(file)):
            raise Declined
        content = source.read(MOST_BYTES + 1)
        while 0 < len(content) <= MOST_BYTES:
            more = source.read(MOST_BYTES + 1 - len(content))
            if not more:
                break
            content += more
    return content


def listed(path, others):
    at = opened(resolved(path, others), False)
    try:
        with os.scandir(at) as entries:
            names = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    finally:
        os.close(at)
    # a name that is no text has no place in an answer
    return b''.join((b'd' if is_folder else b'f') + name.encode() + b'\0' for name, is_folder in names)


def written(path, others, content, makes):
    folder, name = in_its_folder(path, others)
    at = opened(folder, makes)
    try:
        mode = mode_of(name, at)
        new = b'.claw-write-%d-%s' % (os.getpid(), os.urandom(6).hex().encode())
        file = os.open(new, NEW_FILE, 0o600, dir_fd=at)
        try:
            with open(file, 'wb', buffering=0) as target:
                rest = memoryview(content)
                while rest:
                    rest = rest[target.write(rest):]
                if mode is not None:
                    os.fchmod(file, mode)
                os.fsync(file)
            os.replace(new, name, src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            os.unlink(new, dir_fd=at)
            raise
        os.fsync(at)
    finally:
        os.close(at)
    return b''


def mode_of(name, at):
    try:
        found = os.lstat(name, dir_fd=at)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise Declined
    return stat.S_IMODE(found.st_mode) if regular(found) else None


def made(path, others):
    if path == ROOT:
        return b''
    at = opened(resolved(path, others), True)
    try:
        os.fsync(at)
    finally:
        os.close(at)
    return b''


def done(what, path, others, content):
    if os.path.realpath(ROOT) != ROOT:
        raise Declined
    if what == b'identify':
        return resolved(path, others)
    if what == b'stat':
        return look(path, others)
    if what == b'read':
        return read(path, others)
    if what == b'list':
        return listed(path, others)
    if what == b'write':
        return written(path, others, content, True)
    if what == b'write here':
        return written(path, others, content, False)
    if what == b'mkdir':
        return made(path, others)
    raise Declined


def answer(words, content):
    number, what, path, *others = words
    try:
        result = done(what, path, others, content)
        if result is not None and len(result) > MOST_BYTES:
            raise Declined
    except Exception:
        return b'%s declined 0\n' % number
    return b'%s absent 0\n' % number if result is None else b'%s ok %d\n' % (number, len(result)) + result


def serve():
    while line := sys.stdin.buffer.readline():
        head, body = line.split()
        words = sys.stdin.buffer.read(int(head)).split(b'\0')[:-1]
        sys.stdout.buffer.write(answer(words, sys.stdin.buffer.read(int(body))))
        sys.stdout.buffer.flush()


serve()
