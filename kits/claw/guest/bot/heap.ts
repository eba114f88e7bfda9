/** Memory that the gateway needs beside the JavaScript heap: code, buffers, SQLite, its child processes. */
const BESIDE_HEAP_MB = 700;
const SMALLEST_HEAP_MB = 512;

/** Upper bound of the gateway's JavaScript heap, so that it collects garbage before the kernel ends it. */
export const heapLimitMb = (memoryMb: number): number => Math.max(SMALLEST_HEAP_MB, memoryMb - BESIDE_HEAP_MB);
