/** Something that a person has to fix: what, why and what to do; shown without a stack. */
export class SetupFailure extends Error {
  name = "SetupFailure";
}

/** Runs a script's main function; its number is the exit code. */
export async function runMain(main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    process.stderr.write(
      error instanceof SetupFailure ? `\nstopped: ${error.message}\n` : `\n${error?.stack ?? error}\n`,
    );
    process.exitCode = 1;
  }
}
