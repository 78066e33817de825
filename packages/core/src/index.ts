// errors, logging, random streams, atomic and lock files, downloads, deadlines, hashes of code, zip directories, memory between threads: what every
// other package may lean on.
export { AtomicFile, syncFolder, writeAtomically, writeFileAtomic } from './atomic-write.js';
export { withDeadline } from './deadline.js';
export { downloadFile, type FileDownloadOptions } from './download.js';
export { ERROR_CODES, type ErrorCode, invariant, SlipError } from './errors.js';
export { checkFreeSpace } from './free-space.js';
export { isLockHolderDead, tryLockFile } from './lock-file.js';
export { createLogger, type Logger, type LogLevel, silentLogger } from './logger.js';
export { nearestName } from './nearest-name.js';
export { RandomStream } from './random.js';
export { hashSources } from './source-hash.js';
export { type MemoryPlace, type ThreadMemory, threadMemory } from './thread-memory.js';
export {
  compileWasm,
  instantiateWasm,
  type SharedWasmMemory,
  sharedWasmMemory,
  type WasmModule,
} from './web-assembly.js';
export { locateData, readZipDirectory, type ZipArchive, type ZipEntry } from './zip-directory.js';
