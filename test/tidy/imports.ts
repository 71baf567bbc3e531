/** The import table of ARCHITECTURE.md as rules. */
import { posix } from 'node:path';
import ts from 'typescript';
import { at, type Finding, nodes, type Rule, type Source, topFolder } from './rule.ts';

const ROOTS = /^(api\/main|workers\/main)\.ts$|^(scripts|test|bench)\//;
const API_AND_WORKERS = ['api', 'workers'];

interface Allowed {
  readonly folders: readonly string[];
  /** `'*'` is anything, `node:*` any part of Node; `names` narrows what may be taken from a package. */
  readonly packages: readonly string[];
}

const MAY_IMPORT: Readonly<Record<string, Allowed>> = {
  domain: { folders: ['domain'], packages: ['zod', 'node:crypto'] },
  commands: { folders: ['commands', 'domain'], packages: ['zod', 'lru-cache', 'uuid', 'node:crypto'] },
  projections: { folders: ['projections', 'domain'], packages: ['knex', 'uuid'] },
  workers: { folders: ['workers', 'domain', 'commands', 'projections'], packages: ['lru-cache', 'uuid'] },
  api: {
    folders: ['api', 'domain', 'commands', 'projections'],
    packages: [
      ...['@asteasolutions/zod-to-openapi', 'compression', 'cors', 'express', 'express-rate-limit', 'helmet'],
      ...['jsonwebtoken', 'lru-cache', 'node:*', 'pino', 'pino-http', 'prom-client', 'swagger-ui-dist', 'uuid', 'zod'],
    ],
  },
  infra: { folders: ['infra', 'domain'], packages: ['*'] },
  scripts: { folders: ['*'], packages: ['*'] },
  test: { folders: ['*'], packages: ['*'] },
  sdk: { folders: ['sdk', 'domain'], packages: ['*'] },
  web: { folders: ['web', 'sdk'], packages: ['*'] },
  bench: { folders: ['*'], packages: ['*'] },
};

/** Randomness must not come in with the hashes. */
const ONLY_NAMES: Readonly<Record<string, readonly string[]>> = {
  'node:crypto': ['createHash', 'createPublicKey', 'hash', 'verify'],
  uuid: ['v5', 'validate', 'version', 'parse', 'stringify'],
};

/** A vendor's package may be imported by the files of its technology only. */
const VENDORS: readonly [RegExp, readonly string[]][] = [
  [/^knex$/, ['postgres']],
  // The embedded server speaks PostgreSQL's protocol: its upkeep goes through the same driver.
  [/^pg$/, ['postgres', 'embedded']],
  [/^@electric-sql\//, ['embedded']],
  [/^ollama$/, ['ollama']],
  [/^openai$/, ['openai']],
  [/^@anthropic-ai\//, ['anthropic']],
  [/^nats$/, ['nats']],
  [/^@eventstore\//, ['eventstoredb']],
  [/^weaviate-/, ['weaviate']],
  [/^casbin$/, ['casbin']],
  [/^@opentelemetry\//, ['telemetry']],
];

/** Files, by their name or its first word, whose first word is not their technology. */
const TECHNOLOGIES: Readonly<Record<string, string>> = {
  database: 'postgres',
  migrate: 'postgres',
  migrations: 'postgres',
  dataLock: 'embedded',
  pgvector: 'postgres',
};

/** Files of infra that know no technology, and that each may use: what all logs have in common. */
const NEUTRAL: readonly string[] = ['append', 'leavable', 'log', 'model', 'tail'];

interface Import {
  readonly node: ts.Node;
  /** Path from the root for our own files, else the package's name. */
  readonly target: string;
  readonly own: boolean;
  /** Null when everything is taken. */
  readonly names: readonly string[] | null;
}

function importsOf(source: Source): Import[] {
  const isImport = (node: ts.Node): node is ts.StringLiteralLike =>
    ts.isStringLiteralLike(node) &&
    (ts.isImportDeclaration(node.parent) ||
      ts.isExportDeclaration(node.parent) ||
      (ts.isCallExpression(node.parent) && node.parent.expression.kind === ts.SyntaxKind.ImportKeyword) ||
      (ts.isLiteralTypeNode(node.parent) && ts.isImportTypeNode(node.parent.parent)));
  return nodes(source.tree, isImport).map((node) => {
    const own = node.text.startsWith('.');
    const target = own ? posix.join(posix.dirname(source.path), node.text) : packageName(node.text);
    return { node, target, own, names: namesOf(node.parent) };
  });
}

function packageName(specifier: string): string {
  if (specifier.startsWith('node:')) return specifier;
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function namesOf(statement: ts.Node): string[] | null {
  if (!ts.isImportDeclaration(statement)) return null;
  const clause = statement.importClause;
  if (!clause || clause.name || !clause.namedBindings || !ts.isNamedImports(clause.namedBindings)) return null;
  return clause.namedBindings.elements.map((element) => (element.propertyName ?? element.name).text);
}

function checkFolders(source: Source): Finding[] {
  const folder = topFolder(source.path);
  if (!source.tree || folder === '') return [];
  const allowed = MAY_IMPORT[folder];
  if (!allowed) return [{ line: 1, says: `${folder}/ is not in the import table` }];
  const root = ROOTS.test(source.path);
  const folders = root ? [...allowed.folders, 'infra', 'commands', 'projections'] : allowed.folders;
  return importsOf(source).flatMap(({ node, target, own }) => {
    if (!own) return [];
    const other = topFolder(target);
    if (folders.includes(other) || folders.includes('*')) return [];
    return [at(node, `${folder} may not import ${API_AND_WORKERS.includes(other) ? other : target}`)];
  });
}

function checkPackages(source: Source): Finding[] {
  const folder = topFolder(source.path);
  const allowed = MAY_IMPORT[folder]?.packages ?? ['*'];
  if (allowed.includes('*') || ROOTS.test(source.path)) return [];
  return importsOf(source).flatMap(({ node, target, own, names }) => {
    if (own) return [];
    const known = allowed.includes(target) || (target.startsWith('node:') && allowed.includes('node:*'));
    if (!known) return [at(node, `${folder} may not import ${target}`)];
    const only = folder === 'api' ? undefined : ONLY_NAMES[target];
    if (!only) return [];
    if (names === null) return [at(node, `${folder} may take only ${only.join(', ')} from ${target}, by name`)];
    return names.filter((name) => !only.includes(name)).map((name) => at(node, `${target}: ${name} is not pure`));
  });
}

/** `infra/ollamaModel.ts` → ollama; `infra/migrations/001_log.ts` → postgres. */
function technologyOf(path: string): string {
  const [, first = ''] = path.split('/');
  const name = first.replace(/\..*$/, '');
  const word = /^[a-z0-9]+/.exec(name)?.[0] ?? name;
  return TECHNOLOGIES[name] ?? TECHNOLOGIES[word] ?? word;
}

function checkTechnologies(source: Source): Finding[] {
  if (topFolder(source.path) !== 'infra') return [];
  const mine = technologyOf(source.path);
  return importsOf(source).flatMap(({ node, target, own }) => {
    const vendors = VENDORS.find(([name]) => name.test(target))?.[1] ?? [mine];
    const theirs = !own ? vendors : topFolder(target) === 'infra' ? [technologyOf(target)] : [mine];
    const neutral = own && theirs.every((each) => NEUTRAL.includes(each));
    return neutral || theirs.includes(mine)
      ? []
      : [at(node, `${target} belongs to ${theirs.join()}, this file to ${mine}`)];
  });
}

/** Whoever audits must be able to read all of it: no database, no vendor, nothing of the service. */
function checkVerifier(source: Source): Finding[] {
  if (source.path !== 'scripts/verify.ts') return [];
  return importsOf(source)
    .filter(({ target, own }) => (own ? topFolder(target) !== 'domain' : !/^node:(fs|path|readline)/.test(target)))
    .map(({ node, target }) => at(node, `the offline verifier may not import ${target}`));
}

/** The rules about imports. */
export const importRules: readonly Rule[] = [
  {
    name: 'the offline verifier takes nothing of ours but the domain',
    check: checkVerifier,
    caught: [
      { path: 'scripts/verify.ts', text: `import { openStorage } from './storage.ts';` },
      { path: 'scripts/verify.ts', text: `const pg = await import('pg');` },
      { path: 'scripts/verify.ts', text: `import { request } from 'node:http';` },
    ],
    fine: [
      { path: 'scripts/verify.ts', text: `import { a } from '../domain/audit/note.ts';\nimport 'node:fs/promises';` },
      { path: 'scripts/audit.ts', text: `import { openObjects } from './objects.ts';` },
    ],
  },
  {
    name: 'folders import only what the table allows, and only composition roots import infra',
    check: checkFolders,
    caught: [
      { path: 'domain/a.ts', text: `import { dispatch } from '../commands/dispatch.ts';` },
      { path: 'api/routes/a.ts', text: `export { pool } from '../../infra/database.ts';` },
      { path: 'api/main.ts', text: `const relay = await import('../workers/relay.ts');` },
      { path: 'workers/a.ts', text: `let x: import('../api/app.ts').App;` },
      { path: 'misc/a.ts', text: `export const a = 1;` },
    ],
    fine: [
      { path: 'workers/main.ts', text: `import { pool } from '../infra/database.ts';` },
      { path: 'infra/postgresLog.ts', text: `import type { EventStore } from '../domain/ports.ts';` },
    ],
  },
  {
    name: 'folders import only the packages they may, and no randomness with them',
    check: checkPackages,
    caught: [
      { path: 'domain/a.ts', text: `import pg from 'pg';` },
      { path: 'domain/a.ts', text: `import { readFile } from 'node:fs/promises';` },
      { path: 'domain/a.ts', text: `import { createHash, randomUUID as id } from 'node:crypto';` },
      { path: 'commands/a.ts', text: `import * as uuid from 'uuid';` },
      { path: 'api/a.ts', text: `import knex from 'knex';` },
    ],
    fine: [
      { path: 'domain/a.ts', text: `import { z } from 'zod';\nimport { createHash } from 'node:crypto';` },
      { path: 'commands/a.ts', text: `import { v5 as uuidv5 } from 'uuid';` },
      { path: 'api/a.ts', text: `import { once } from 'node:events';` },
    ],
  },
  {
    name: 'a technology of infra knows no other, and a vendor is known to one technology only',
    check: checkTechnologies,
    caught: [
      { path: 'infra/ollamaModel.ts', text: `import { pool } from './database.ts';` },
      { path: 'infra/natsBus.ts', text: `import pg from 'pg';` },
      { path: 'infra/postgresLog.ts', text: `import { config } from './config.ts';` },
      { path: 'infra/tailRing.ts', text: `import { reads } from './postgresReads.ts';` },
      { path: 'infra/tailRing.ts', text: `import pg from 'pg';` },
    ],
    fine: [
      { path: 'infra/migrations/001_log.ts', text: `import type { Knex } from 'knex';` },
      { path: 'infra/postgresLog.ts', text: `import { pool } from './database.ts';\nimport pg from 'pg';` },
      { path: 'infra/postgresTail.ts', text: `import { createRing } from './tailRing.ts';` },
    ],
  },
];
