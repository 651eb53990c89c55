# SPDX-FileCopyrightText: The ddict authors
# SPDX-License-Identifier: Apache-2.0
"""A program in a terminal of our own: what it shows, and what it leaves behind."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

TIMEOUT = 30  # seconds, for anything


class Screen:
    """Understands what ncurses sends to TERM=xterm. What it does not understand is an error."""

    SEQUENCE = re.compile(r"\x1b(?:\[([?>]?)([0-9;]*)([@-~])|([()])(.)|([78=>Mc]))|[\x00-\x1f]|[^\x00-\x1f\x1b]", re.S)

    def __init__(self, lines, columns):
        self.alternate = False
        self.cursor_shown = True
        self.bright = ""
        self.resize(lines, columns)

    def resize(self, lines, columns):
        self.lines, self.columns = lines, columns
        self.cells = [[(" ", "")] * columns for _ in range(lines)]
        self.y = self.x = 0
        self.top, self.bottom = 0, lines - 1
        self.last = " "

    def feed(self, text):
        """Returns what of the text is the beginning of a sequence."""
        at = 0
        while at < len(text):
            found = self.SEQUENCE.match(text, at)
            if not found:
                if len(text) - at > 30:
                    raise ValueError(f"not understood: {text[at:at + 30]!r}")
                return text[at:]
            at = found.end()
            private, numbers, final, _, _, single = found.groups()
            if final:
                self.control(private, [int(n or 0) for n in numbers.split(";")], final)
            elif found[0][0] != "\x1b":
                self.character(found[0])
            elif single == "M":
                self.up_one_line()
        return ""

    def character(self, char):
        if char == "\r":
            self.x = 0
        elif char == "\n":
            if self.y == self.bottom:
                self.cells[self.top:self.bottom + 1] = self.cells[self.top + 1:self.bottom + 1] + [self.blank()]
            else:
                self.y = min(self.y + 1, self.lines - 1)
        elif char == "\b":
            self.x = max(self.x - 1, 0)
        elif char == "\t":
            self.x = min(self.x // 8 * 8 + 8, self.columns - 1)
        elif char >= " ":
            self.put(char)

    def up_one_line(self):
        if self.y == self.top:
            self.cells[self.top:self.bottom + 1] = [self.blank()] + self.cells[self.top:self.bottom]
        else:
            self.y = max(self.y - 1, 0)

    def put(self, char):
        if self.x >= self.columns:
            self.x, self.y = 0, min(self.y + 1, self.lines - 1)
        self.cells[self.y][self.x] = (char, self.bright)
        self.x += 1
        self.last = char

    def blank(self):
        return [(" ", "")] * self.columns

    def control(self, private, numbers, final):
        first = numbers[0] or 1
        if private:
            if final in "hl" and 1049 in numbers:
                self.alternate = final == "h"
            if final in "hl" and 25 in numbers:
                self.cursor_shown = final == "h"
        elif final == "H":
            self.y, self.x = first - 1, (numbers[1] or 1) - 1 if len(numbers) > 1 else 0
        elif final in "ABCDGd":
            if final == "A":
                self.y = max(self.y - first, 0)
            elif final == "B":
                self.y = min(self.y + first, self.lines - 1)
            elif final == "C":
                self.x = min(self.x + first, self.columns - 1)
            elif final == "D":
                self.x = max(self.x - first, 0)
            elif final == "G":
                self.x = first - 1
            else:
                self.y = first - 1
        elif final == "J":
            keep = {0: self.y, 1: None, 2: 0}[numbers[0]]
            if keep is None:
                raise ValueError("erasing above is not understood")
            if numbers[0] == 0:
                self.cells[self.y][self.x:] = [(" ", "")] * (self.columns - self.x)
                keep += 1
            for y in range(keep, self.lines):
                self.cells[y] = self.blank()
        elif final == "K":
            start, end = {0: (self.x, self.columns), 1: (0, self.x + 1), 2: (0, self.columns)}[numbers[0]]
            self.cells[self.y][start:end] = [(" ", "")] * (end - start)
        elif final == "X":
            self.cells[self.y][self.x:self.x + first] = [(" ", "")] * min(first, self.columns - self.x)
        elif final == "P":
            row = self.cells[self.y]
            self.cells[self.y] = row[:self.x] + row[self.x + first:] + [(" ", "")] * min(first, self.columns - self.x)
        elif final == "@":
            row = self.cells[self.y]
            self.cells[self.y] = (row[:self.x] + [(" ", "")] * first + row[self.x:])[:self.columns]
        elif final in "LM":
            here = self.cells[self.y:self.bottom + 1]
            blanks = [self.blank() for _ in range(first)]
            here = (blanks + here if final == "L" else here[first:] + blanks)[:len(here)]
            self.cells[self.y:self.bottom + 1] = here
        elif final == "b":
            for _ in range(first):
                self.put(self.last)
        elif final == "m":
            for number in numbers:
                if 30 <= number <= 37:
                    self.bright = str(number)
                elif number in (0, 39):
                    self.bright = ""
        elif final == "r":
            self.top, self.bottom = first - 1, (numbers[1] if len(numbers) > 1 else self.lines) - 1
            self.y = self.x = 0
        elif final not in "hlt":
            raise ValueError(f"not understood: {numbers}{final}")

    def text(self):
        return [re.sub(" +$", "", "".join(char for char, _ in row)) for row in self.cells]

    def colours(self, line):
        return {colour for char, colour in self.cells[line] if char != " "}


class Terminal:
    """Runs a command in a terminal. Its end is waited for by the with statement."""

    def __init__(self, command, lines=24, columns=80, term="xterm"):
        self.leader, self.follower = pty.openpty()
        self.screen = Screen(lines, columns)
        self.rest = ""
        self.raw = ""
        self.set_size(lines, columns)
        self.before = termios.tcgetattr(self.follower)
        environment = {**os.environ, "TERM": term, "LC_ALL": "C.UTF-8"}
        environment.pop("LINES", None)
        environment.pop("COLUMNS", None)

        def control_the_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(command, stdin=self.follower, stdout=self.follower, stderr=self.follower,
                                        env=environment, preexec_fn=control_the_terminal)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(TIMEOUT)
        os.close(self.leader)
        os.close(self.follower)

    def set_size(self, lines, columns):
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def resize(self, lines, columns):
        """The kernel tells the program."""
        self.screen.resize(lines, columns)
        self.set_size(lines, columns)

    def type(self, keys):
        os.write(self.leader, keys.encode())

    def interrupt(self):
        self.type("\x03")

    def send(self, number):
        self.process.send_signal(number)

    def read(self, seconds):
        """Returns whether there was something to read."""
        ready, _, _ = select.select([self.leader], [], [], seconds)
        if not ready:
            return False
        try:
            raw = os.read(self.leader, 65536)
        except OSError:
            return False
        # A cut character is put together with its rest.
        while raw and raw[-1] & 0x80:
            try:
                raw.decode()
                break
            except UnicodeDecodeError:
                raw += os.read(self.leader, 1)
        text = raw.decode()
        self.raw += text
        self.rest = self.screen.feed(self.rest + text)
        return True

    def until(self, what, condition):
        """Reads until a condition on the screen's lines holds, and returns what it returned."""
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            if found := condition(self.screen.text()):
                return found
            if self.process.poll() is not None:
                self.read(0)
                break
            self.read(0.1)
        raise AssertionError(f"not seen: {what}; the screen:\n" + "\n".join(self.screen.text()))

    def status(self):
        """The exit status of the program, all of whose output has been read then."""
        deadline = time.monotonic() + TIMEOUT
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError("the program does not end; the screen:\n" + "\n".join(self.screen.text()))
            self.read(0.05)
        while self.read(0.05):
            pass
        return self.process.returncode

    def as_before(self):
        """Whether the terminal is as it was."""
        return termios.tcgetattr(self.follower) == self.before and self.screen.cursor_shown and not self.screen.alternate
