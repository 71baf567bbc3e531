import { pino, type Logger } from 'pino';

/** JSON lines on stderr: stdout belongs to what a command answers. Tokens and keys never appear. */
export function createLogger(level: string): Logger {
  return pino(
    {
      level,
      base: { service: 'colloquy' },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: {
        paths: ['token', 'authorization', 'req.headers.authorization', '*.token', '*.password'],
        censor: '***',
      },
    },
    pino.destination({ dest: 2, sync: false }),
  );
}
