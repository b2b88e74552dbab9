#!/usr/bin/env python3
"""Tests of the style gate: each rule reports a bad snippet and passes a good one, in a repository of its own.

Run it as .ci/tidy_test.py. Words that tidy bans are put together here from halves, since it reads this file too.
"""

import contextlib
import importlib.machinery
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TIDY = pathlib.Path(__file__).resolve().parent / "tidy"
LOADER = importlib.machinery.SourceFileLoader("tidy", str(TIDY))
tidy = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", LOADER))
LOADER.exec_module(tidy)

HEADER = "// What it is.\n// Who calls it, and on which lane.\n#pragma once\n"


@contextlib.contextmanager
def repository(files: dict[str, str]):
    """A git repository that holds the files, as the current directory."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as root:
        subprocess.run(["git", "init", "-q", root], check=True)
        for path, text in {".clang-format": "BasedOnStyle: Google\nColumnLimit: 100\n", **files}.items():
            target = pathlib.Path(root, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        os.chdir(root)
        try:
            yield
        finally:
            os.chdir(before)


class TidyTest(unittest.TestCase):
    def found(self, path: str, text: str) -> list[tuple[int, str]]:
        """(line, rule) of what tidy finds in one file, but for the rules that look at a whole tree."""
        with repository({path: text}):
            findings = tidy.findings_in(tidy.read_text_files())
        return [(line, rule) for _, line, rule, _ in findings if rule not in ("assertions", "test-lines")]

    def check(self, rule: str, path: str, bad: str, line: int = 1):
        with self.subTest(rule=rule, path=path, bad=bad):
            self.assertIn((line, rule), self.found(path, bad))

    def passes(self, path: str, good: str):
        with self.subTest(path=path, good=good):
            self.assertEqual([], self.found(path, good))


class Includes(TidyTest):
    def test_folders_depend_one_way(self):
        for path, header in (
            ("raft/base/a.cc", "raft/core/core.h"),
            ("raft/core/a.cc", "raft/wal/wal.h"),
            ("raft/wal/a.cc", "raft/transport/codec.h"),
            ("raft/core/a_test.cc", "kvstore/store.h"),
            ("raft/transport/a.cc", "server/net/socket.h"),
            ("kvstore/a.cc", "raft/core/core.h"),
            ("kvstore/a.cc", "server/api/kv.h"),
            ("server/a.cc", "client/client.h"),
            ("client/a.cc", "kvstore/store.h"),
            ("client/a.cc", "raft/core/core.h"),
            ("server/a_test.cc", "jepsen-style-tests/sim/world.h"),
        ):
            self.check("includes", path, f'#include "{header}"\n')

    def test_what_may_be_included(self):
        for path, header in (
            ("raft/core/a.cc", "raft/base/types.h"),
            ("raft/wal/a.cc", "raft/core/entry.h"),
            ("kvstore/a.cc", "kvstore/proto/kv.pb.h"),
            ("kvstore/a.cc", "raft/base/bytes.h"),
            ("server/a.cc", "raft/transport/codec.h"),
            ("client/a.cc", "kvstore/proto/rpc.pb.h"),
            ("jepsen-style-tests/a.cc", "server/stages/apply_stage.h"),
            ("jepsen-style-tests/a.cc", "jepsen-style-tests/sim/world.h"),
            ("raft/core/a.cc", "absl/status/status.h"),
        ):
            self.passes(path, f'#include "{header}"\n')

    def test_own_headers_are_named_from_the_root(self):
        self.check("includes", "kvstore/a.cc", '#include "store.h"\n')
        self.check("includes", "kvstore/a.cc", '#include "../raft/core/core.h"\n')

    def test_a_commented_include_binds_nothing(self):
        self.passes("raft/base/a.cc", '/* An example:\n#include "server/main.h"\n*/\n')


class ThirdParty(TidyTest):
    def test_libraries_stay_in_their_folder(self):
        for path, header in (
            ("server/rpc/a.cc", "nghttp2/nghttp2.h"),
            ("server/rpc/a.cc", "grpcpp/grpcpp.h"),
            ("server/rpc/a.cc", "kvstore/proto/rpc.grpc.pb.h"),
            ("kvstore/mvcc/a.cc", "leveldb/db.h"),
            ("raft/wal/a.cc", "spdlog/spdlog.h"),
            ("kvstore/a.cc", "openssl/evp.h"),
            ("raft/base/a.cc", "yaml-cpp/yaml.h"),
            ("raft/wal/a.cc", "unistd.h"),
            ("server/stages/a.cc", "sys/stat.h"),
            ("raft/core/a.cc", "kvstore/proto/rpc.pb.h"),
        ):
            self.check("third-party", path, f"#include <{header}>\n")

    def test_their_folders_may(self):
        for path, header in (
            ("server/http2/a.cc", "nghttp2/nghttp2.h"),
            ("client/a.cc", "grpcpp/grpcpp.h"),
            ("jepsen-style-tests/a.cc", "kvstore/proto/rpc.grpc.pb.h"),
            ("kvstore/engine/a.cc", "leveldb/db.h"),
            ("server/a.cc", "CLI/CLI.hpp"),
            ("server/main.cc", "unistd.h"),
            ("server/net/a.cc", "sys/epoll.h"),
            ("raft/base/posix_file_system.cc", "fcntl.h"),
            ("raft/wal/a_test.cc", "sys/stat.h"),
        ):
            self.passes(path, f"#include <{header}>\n")


class Determinism(TidyTest):
    def test_the_world_outside_is_banned(self):
        for path, code in (
            ("raft/wal/a.cc", "auto t = std::chrono::steady_clock::now();"),
            ("kvstore/a.cc", "auto t = time(nullptr);"),
            ("kvstore/a.cc", "auto t = absl::Now();"),
            ("raft/base/a.cc", "std::random_device device;"),
            ("raft/core/a.cc", "int r = rand();"),
            ("server/stages/a.cc", "std::uniform_int_distribution<int> d;"),
            ("server/api/a.cc", "std::mt19937 generator;"),
            ("raft/transport/a.cc", "std::jthread thread;"),
            ("raft/base/a_test.cc", "auto id = std::this_thread::get_id();"),
            ("raft/base/a.cc", "int p = getpid();"),
        ):
            self.check("determinism", path, code + "\n")

    def test_elsewhere_and_lookalikes_pass(self):
        self.passes("server/net/a.cc", "auto t = std::chrono::steady_clock::now();\n")
        self.passes("raft/base/posix_clock.cc", "auto t = std::chrono::steady_clock::now();\n")
        self.passes("kvstore/a.cc", "int a = x.time(0) + lifetime(0) + operand();\n")
        self.passes("kvstore/a.cc", '// std::thread is not for us.\nauto s = "absl::Now()";\n')

    def test_the_core_is_pure(self):
        for code in ("std::mutex mu;", "absl::Mutex mu;", "std::atomic<int> n;", "#include <fstream>", "double d;"):
            self.check("core", "raft/core/a.cc", code + "\n")
        self.passes("raft/core/golden_test.cc", "#include <fstream>\n")
        self.passes("kvstore/a.cc", "double d;\n")


class Bans(TidyTest):
    def test_exceptions(self):
        self.check("exceptions", "server/a.cc", "int F() { throw 1; }\n")
        self.check("exceptions", "kvstore/a.cc", "void F() {\n  try {\n  } catch (...) {\n  }\n}\n", line=3)
        self.passes("client/a.cc", "int F() { throw 1; }\n")

    def test_an_excuse_needs_its_rule_and_a_reason(self):
        code = "int F() { throw 1; }  // tidy: allow"
        self.passes("server/a.cc", code + "(exceptions) the parser expects it\n")
        self.check("exceptions", "server/a.cc", code + "(exceptions)\n")
        self.check("exceptions", "server/a.cc", code + "(banned) the parser expects it\n")

    def test_small_things(self):
        self.check("banned", "kvstore/a.h", HEADER + "using namespace absl;\n", line=4)
        self.check("banned", "server/a.cc", "void F() { out << std::endl; }\n")
        self.check("banned", "docs/a.md", "Text.\nTO" + "DO: more\n", line=2)
        self.check("banned", "scripts/a.sh", "# FIX" + "ME\n")
        self.passes("kvstore/a.cc", "using namespace absl;\n")

    def test_marks_of_the_simulator_stay_in_sources(self):
        self.check("banned", "kvstore/a.h", HEADER + 'inline void F() { SIM_REACHED("a"); }\n', line=4)
        self.passes("kvstore/a.cc", 'void F() { SIM_REACHED("a"); }\n')
        self.passes("raft/base/probe.h", HEADER + "#if CONCLAVE_SIMULATION\n#endif\n")

    def test_machine_paths(self):
        self.check("words", "docs/a.md", "See /wo" + "rk/main.\n")
        self.check("words", "scripts/a.sh", "cd /ro" + "ot/x\n")
        self.passes("docs/a.md", "See raft/wo" + "rk/ and http://localhost/wo" + "rk/.\n")


class Shape(TidyTest):
    def body(self, head: str, lines: int) -> str:
        """A function whose body has so many lines, its braces' included."""
        return head + " {\n" + "  F();\n" * (lines - 2) + "}\n"

    def test_long_files(self):
        for path in ("kvstore/a.cc", "scripts/a.py", "scripts/tool"):
            first = "#!/bin/sh" if path == "scripts/tool" else ""
            self.check("size", path, first + "\n" * 601, line=601)
        self.passes("scripts/a.py", "\n" * 600)
        self.passes("kvstore/proto/a.proto", "\n" * 700)

    def test_long_functions(self):
        for head in (
            "void F()",
            "TEST(A, B)",
            "int A::F(int x) const noexcept",
            "auto F() -> std::vector<int>",
            "int F(const char* c = \"}{\", char d = '{', int e = 1'000) LOCKS_REQUIRED(mu_)",
            "template <class T>\nvoid F(T t)",
            "A::A(int a) : B{a}, c_(a), d_{}",
            "A::A(int a) noexcept : b_{a}",
            "auto f = [](int x)",
        ):
            for lines, wrong in ((70, False), (71, True)):
                with self.subTest(head=head, lines=lines):
                    found = self.found("kvstore/a.cc", self.body(head, lines))
                    self.assertEqual(wrong, (1 + head.count("\n"), "size") in found)

    def test_lambdas_count_as_their_function(self):
        inner = "  Run([] {\n" + "    F();\n" * 66 + "  });\n"
        self.check("size", "kvstore/a.cc", "void F() {\n  if (x) {\n  }\n" + inner + "}\n")

    def test_long_types_and_namespaces_are_no_functions(self):
        members = "  void F() {}\n" * 80
        self.passes("kvstore/a.cc", "class A final : public B {\n " + "public:\n" + members + "};\n")
        self.passes("kvstore/a.cc", "namespace a {\n" + "void F() {}\n" * 80 + "}  // namespace a\n")
        self.passes("kvstore/a.cc", "const int kTable[] = {\n" + "    1,  // one\n" * 80 + "};\n")

    def test_comments_literals_and_directives_hold_no_brackets(self):
        self.passes("kvstore/a.cc", '// {\n#define OPEN {\nauto s = R"x(})" {)x";\nchar c = \'{\';\n/* } */\n')

    def test_brackets_that_do_not_pair(self):
        self.check("size", "kvstore/a.cc", "void F() {\n")
        self.check("size", "kvstore/a.cc", "void F() {\n}\n}\n", line=3)

    def test_headers(self):
        self.check("header", "kvstore/a.h", "// One line.\n#pragma once\n")
        self.check("header", "kvstore/a.h", HEADER.replace("#pragma once", "int x;"), line=3)
        self.check("header", "kvstore/a.h", "#pragma once\n// Too\n// late.\n")
        self.passes("kvstore/a.h", HEADER)

    def test_format(self):
        self.check("format", "kvstore/a.cc", "int a;\nint  b;\n", line=2)
        self.passes("kvstore/a.cc", "int a;\nint b;\n")

    def test_bash(self):
        self.check("scripts", "scripts/a.sh", "true\nif true; then\n", line=3)
        self.check("scripts", "scripts/a", "#!/usr/bin/env bash\nfi\n", line=2)
        self.passes("scripts/a", "#!/usr/bin/env bash\ntrue\n")


class Averages(unittest.TestCase):
    """The rules that count over many files."""

    FUNCTION = "void F() { G(); }\n"
    ASSERTING = "void F() {\n  CHECK(a);\n  CHECK_MSG(b, words);\n}\n"
    FOR_TESTS = "// What it is. Tests\n// and simulation only; one thread.\n#pragma once\n"

    def found(self, rule: str, files: dict[str, str]) -> list[tuple[str, str]]:
        """(path, message) of what the rule finds in a tree."""
        with repository(files):
            return [(path, message) for path, _, name, message in tidy.findings_in(tidy.read_text_files()) if name == rule]

    def test_the_core_asserts_as_often_as_it_has_functions(self):
        self.assertEqual([], self.found("assertions", {"raft/core/a.cc": self.ASSERTING + self.FUNCTION}))
        found = self.found("assertions", {"raft/core/a.cc": self.ASSERTING, "raft/core/b.cc": self.FUNCTION * 2})
        self.assertEqual([("raft/core/b.cc", "raft/core has 2 CHECKs, at least 3 are wanted: "
                                             "one a function on average; most lack here")], found)

    def test_functions_of_headers_count(self):
        inline = HEADER + "inline " + self.FUNCTION
        self.assertEqual("raft/core/a.h", self.found("assertions", {"raft/core/a.h": inline})[0][0])

    def test_what_looks_like_an_assertion_is_none(self):
        for code in ("// CHECK(a);\n", 'auto s = "CHECK(a)";\n', "DCHECK(a);\n", "#ifdef CHECK\n#endif\n"):
            with self.subTest(code=code):
                self.assertEqual(1, len(self.found("assertions", {"raft/core/a.cc": self.FUNCTION + code})))

    def test_tests_and_what_only_they_use_neither_need_assertions_nor_lend_them(self):
        tests = {"raft/core/a_test.cc": "", "raft/core/world.h": self.FOR_TESTS, "raft/core/world.cc": ""}
        with_functions = {path: text + self.FUNCTION for path, text in tests.items()}
        self.assertEqual([], self.found("assertions", {**with_functions, "raft/wal/a.cc": self.FUNCTION}))
        with_checks = {path: text + self.ASSERTING for path, text in tests.items()}
        self.assertEqual(1, len(self.found("assertions", {**with_checks, "raft/core/a.cc": self.FUNCTION})))
        # "world_map.cc" is not the source of "world.h".
        self.assertEqual(1, len(self.found("assertions", {**tests, "raft/core/world_map.cc": self.FUNCTION})))

    def test_raft_has_two_lines_of_tests_for_one_of_its_own(self):
        line, comment = "int a;\n", "\n// A comment.\n  // Another.\n"
        product = {"raft/base/a.cc": line * 5 + comment, "raft/core/golden/README.md": "Text.\n" * 9}
        tests = {
            "raft/wal/a_test.cc": line * 3 + comment,
            "raft/core/world.h": self.FOR_TESTS + line,
            "raft/core/world.cc": line * 2,
            "raft/core/golden/01_a/01_b.txt": "Prose.\n\n> wake 1\n    outcome\n",
        }
        self.assertEqual([], self.found("test-lines", {**product, **tests}))
        self.assertEqual([("raft/base/a.cc", "raft has 10 lines of tests and golden traces, at least 12 are wanted")],
                         self.found("test-lines", {**product, **tests, "raft/base/a.cc": line * 6}))
        for path in tests:
            with self.subTest(path=path):
                self.assertEqual(1, len(self.found("test-lines", {**product, **tests, path: ""})))

    def test_other_folders_need_no_ratio(self):
        self.assertEqual([], self.found("test-lines", {"kvstore/a.cc": "int a;\n"}))


class Program(TidyTest):
    def run_tidy(self, *options: str, path: str = os.environ["PATH"]) -> tuple[int, str]:
        result = subprocess.run([sys.executable, TIDY, *options], capture_output=True, text=True,
                                env={**os.environ, "PATH": path})
        return result.returncode, result.stdout

    def test_exit_codes_and_output(self):
        with repository({"kvstore/a.cc": "int  a;\n"}):
            code, output = self.run_tidy()
            self.assertEqual(1, code)
            self.assertRegex(output, r"^kvstore/a\.cc:1: format: .*\n$")
            code, output = self.run_tidy("--fix")
            self.assertEqual((0, "tidy: 2 files keep 13 rules\n"), (code, output))
            self.assertEqual("int a;\n", pathlib.Path("kvstore/a.cc").read_text())

    def test_a_missing_clang_format_is_said(self):
        with repository({"kvstore/a.cc": "int a;\n"}), tempfile.TemporaryDirectory() as tools:
            for tool in ("git", "bash"):
                target = subprocess.check_output(["which", tool], text=True).strip()
                os.symlink(target, os.path.join(tools, tool))
            code, output = self.run_tidy(path=tools)
            self.assertEqual(1, code)
            self.assertIn("apt-get install clang-format-14", output)

    def test_ignored_files_and_data_are_not_read(self):
        bad = "TO" + "DO\n"
        with repository({".gitignore": "build/\n", "build/a.md": bad, "data": "\0" + bad}):
            self.assertEqual(0, self.run_tidy()[0])


if __name__ == "__main__":
    unittest.main()
