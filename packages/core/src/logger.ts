// The log of a process: winston lines "time level [who] message" on standard error, so that standard output stays for
// results. Created once in main and passed on; there is no global logger.
import { createRequire } from 'node:module';
import type Winston from 'winston';

/** Loaded with the first line: it takes a quarter of the start of a worker, and most workers have nothing to say. */
const require = createRequire(import.meta.url);

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export interface Logger {
  error(message: string): void;
  warn(message: string): void;
  info(message: string): void;
  debug(message: string): void;
}

const LEVELS: readonly LogLevel[] = ['error', 'warn', 'info', 'debug'];

/** @param who shown in brackets, for example `rank 3` or `launch`; empty for none */
export function createLogger(who: string, level: LogLevel = 'info'): Logger {
  let opened: Logger | undefined;
  const writer = (of: LogLevel) => (message: string) => {
    if (LEVELS.indexOf(of) > LEVELS.indexOf(level)) return;
    opened ??= open(who, level);
    opened[of](message);
  };
  return { error: writer('error'), warn: writer('warn'), info: writer('info'), debug: writer('debug') };
}

function open(who: string, level: LogLevel): Logger {
  const winston: typeof Winston = require('winston');
  const line = winston.format.printf(({ timestamp, level, message }) => {
    const prefix = who === '' ? '' : `[${who}] `;
    return `${String(timestamp)} ${level.padEnd(5)} ${prefix}${String(message)}`;
  });
  return winston.createLogger({
    level,
    format: winston.format.combine(winston.format.timestamp({ format: 'HH:mm:ss.SSS' }), line),
    transports: [new winston.transports.Console({ stderrLevels: [...LEVELS] })],
  });
}

/** For tests and for libraries used without a log. */
export const silentLogger: Logger = { error() {}, warn() {}, info() {}, debug() {} };
