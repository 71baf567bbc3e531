#!/usr/bin/env node
import { loadCli } from './load.mjs';

process.setSourceMapsEnabled(true);
const { main } = await loadCli();
await main(process.argv);
