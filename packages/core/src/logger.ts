// The log of a process: winston lines "time level [who] message" on standard error, so that standard output stays for
// results. Created once in main and passed on; there is no global logger.
import { createRequire } from 'node:module';
import type Winston from 'winston';

/** Loaded with the first logger: it takes longer than all else of a command that only prints. */
const require = createRequire(import.meta.url);

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export interface Logger {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

/** @param who shown in brackets, for example `rank 3` or `launch`; empty for none */
export function createLogger(who: string, level: LogLevel = 'info'): Logger {
  const winston: typeof Winston = require('winston');
  const line = winston.format.printf(({ timestamp, level, message }) => {
    const prefix = who === '' ? '' : `[${who}] `;
    return `${String(timestamp)} ${level.padEnd(5)} ${prefix}${String(message)}`;
  });
  return winston.createLogger({
    level,
    format: winston.format.combine(winston.format.timestamp({ format: 'HH:mm:ss.SSS' }), line),
    transports: [new winston.transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'] })],
  });
}

/** For tests and for libraries used without a log. */
export const silentLogger: Logger = { error() {}, warn() {}, info() {}, debug() {} };
