/** Makes the embedded database's seed again; run it after another version of PGlite was installed. */
import { writeSeed } from '../infra/embeddedPostgresSeed.ts';

process.stdout.write(`${await writeSeed()} bytes\n`);
