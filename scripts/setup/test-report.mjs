import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { stripVTControlCharacters } from "node:util";

/**
 * What vitest's JSON report says of one run.
 * @param code the exit code: a run that did not end well has at least one failure, also where no test of it failed
 * @returns {{passed: number, failures: {name: string, error: string}[]}} each with the first lines of its error
 */
export function readReport(run, path, code, root) {
  const report = parse(path);
  const failures = (report?.testResults ?? []).flatMap((file) => failuresOf(file, relative(root, file.name)));
  if (failures.length === 0 && code !== 0)
    failures.push({ name: `the ${run} tests`, error: `vitest ended with ${code}: see its own output above` });
  return { passed: report?.numPassedTests ?? 0, failures };
}

function failuresOf({ status, message, assertionResults }, file) {
  const failed = assertionResults.filter((test) => test.status === "failed");
  // a file that could not be loaded, or whose hook failed, has no failed tests but is a failure
  if (failed.length === 0 && status === "failed") return [{ name: file, error: firstLines(message) }];
  return failed.map(({ ancestorTitles, title, duration, failureMessages }) => ({
    name: `${[file, ...ancestorTitles, title].join(" > ")} (${Math.round(duration ?? 0)} ms)`,
    error: firstLines(failureMessages.join("\n")),
  }));
}

/** The message, and the line of the test. */
function firstLines(text) {
  const lines = stripVTControlCharacters(text).split("\n");
  const frames = lines.findIndex((line) => /^\s+at /.test(line));
  const message = frames < 0 ? lines : lines.slice(0, frames);
  const own = lines.filter((line) => /^\s+at .*\.test\.ts:/.test(line)).slice(0, 1);
  return [...message.slice(0, 6), ...own].map((line) => line.slice(0, 300)).join("\n  ");
}

/** Null where the run broke before it wrote one. */
function parse(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}
