const PATIENCE_MS = 30_000;

/**
 * A reporter that ends vitest some time after the last test: a process that a test left behind and that has inherited the
 * descriptors of a worker would hold it for as long as that lives.
 */
export default class EndOfRun {
  onTestRunEnd() {
    setTimeout(() => {
      process.stderr.write("A test left a process behind, which held this run up.\n");
      process.exit();
    }, PATIENCE_MS).unref();
  }
}
