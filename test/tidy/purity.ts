/** Where the environment, the clock, timers and randomness may be touched. */
import ts from 'typescript';
import { at, type Finding, isNode, nodes, type Rule, type Source, topFolder } from './rule.ts';

const ENVIRONMENT_READERS = ['infra/config.ts', 'test/services.ts'];
const FREE_FOLDERS = ['infra', 'scripts', 'test', 'bench', 'sdk', 'web', ''];

const IMPURE_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  Date: ['now'],
  Math: ['random'],
  performance: ['now', 'timeOrigin'],
  process: ['hrtime', 'uptime'],
  AbortSignal: ['timeout'],
  crypto: ['randomUUID', 'getRandomValues'],
};
const IMPURE_NAMES = ['setTimeout', 'setInterval', 'setImmediate', 'randomUUID', 'randomBytes', 'randomInt', 'hrtime'];
const IMPURE_MODULES = ['node:timers', 'node:timers/promises', 'node:perf_hooks'];

function checkEnvironment({ path, tree }: Source): Finding[] {
  if (ENVIRONMENT_READERS.includes(path)) return [];
  const findings: Finding[] = [];
  for (const node of nodes(tree, ts.isPropertyAccessExpression)) {
    if (node.name.text === 'env' && baseName(node.expression) === 'process') findings.push(at(node, 'process.env'));
  }
  for (const node of nodes(tree, ts.isElementAccessExpression)) {
    const key = ts.isStringLiteralLike(node.argumentExpression) ? node.argumentExpression.text : '';
    if (key === 'env' && baseName(node.expression) === 'process') findings.push(at(node, 'process.env'));
  }
  for (const node of nodes(tree, ts.isBindingElement)) {
    const from = node.parent.parent;
    const name = (node.propertyName ?? node.name).getText();
    if (name === 'env' && ts.isVariableDeclaration(from) && from.initializer?.getText() === 'process')
      findings.push(at(node, 'process.env'));
  }
  for (const node of nodes(tree, ts.isImportSpecifier)) {
    const from = node.parent.parent.parent.moduleSpecifier;
    const process = ts.isStringLiteral(from) && /^(node:)?process$/.test(from.text);
    if (process && (node.propertyName ?? node.name).text === 'env') findings.push(at(node, 'process.env'));
  }
  return findings;
}

/** `Date` of `Date` and of `globalThis.Date`. */
function baseName(node: ts.Expression): string {
  if (ts.isIdentifier(node)) return node.text;
  if (ts.isPropertyAccessExpression(node) && baseName(node.expression) === 'globalThis') return node.name.text;
  return '';
}

function checkPurity({ path, tree }: Source): Finding[] {
  if (FREE_FOLDERS.includes(topFolder(path))) return [];
  return nodes(tree, isNode).flatMap((node) => {
    const impure = impurity(node);
    return impure === null ? [] : [at(node, `${impure}: time and chance come through the Clock and Ids ports`)];
  });
}

function impurity(node: ts.Node): string | null {
  if (ts.isPropertyAccessExpression(node)) {
    const base = baseName(node.expression);
    if (IMPURE_MEMBERS[base]?.includes(node.name.text)) return `${base}.${node.name.text}`;
    return base === 'globalThis' && IMPURE_NAMES.includes(node.name.text) ? node.name.text : null;
  }
  if (ts.isNewExpression(node) && baseName(node.expression) === 'Date')
    return (node.arguments ?? []).length === 0 ? 'new Date()' : null;
  if (ts.isCallExpression(node) && baseName(node.expression) === 'Date') return 'Date()';
  if (ts.isStringLiteral(node) && ts.isImportDeclaration(node.parent))
    return IMPURE_MODULES.includes(node.text) ? node.text : null;
  if (ts.isIdentifier(node) && IMPURE_NAMES.includes(node.text)) return isUse(node) ? node.text : null;
  return null;
}

/** A member, a property's name or a declaration of the same name is somebody else's. */
function isUse(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent)) return parent.name !== node;
  if (ts.isPropertyAssignment(parent)) return parent.name !== node;
  return !(ts.isMethodSignature(parent) || ts.isPropertySignature(parent) || ts.isMethodDeclaration(parent));
}

/** The rules about the environment, time and chance. */
export const purityRules: readonly Rule[] = [
  {
    name: 'the environment is read in infra/config.ts and test/services.ts only',
    check: checkEnvironment,
    caught: [
      { path: 'infra/database.ts', text: 'const url = process.env.URL;' },
      { path: 'scripts/a.mjs', text: `const url = process['env'].URL;` },
      { path: 'api/main.ts', text: 'const { env } = process;' },
      { path: 'test/a.test.ts', text: `import { env as e } from 'node:process';` },
    ],
    fine: [
      { path: 'infra/config.ts', text: 'const url = process.env.URL;' },
      { path: 'domain/a.ts', text: `const text = 'process.env'; context.env();` },
    ],
  },
  {
    name: 'time, timers and randomness come through ports',
    check: checkPurity,
    caught: [
      ...['Date.now()', 'const f = Date.now;', 'new Date()', 'new Date', 'Date()', 'globalThis.Date.now()'],
      ...['Math.random()', 'performance.now()', 'process.hrtime.bigint()', 'AbortSignal.timeout(5)'],
      ...['setTimeout(f, 1)', 'run(setInterval)', 'globalThis.setTimeout(f)', 'crypto.randomUUID()', 'randomUUID()'],
      ...[`import { setTimeout as sleep } from 'node:timers/promises';`],
    ].flatMap((text) => ['domain', 'workers'].map((folder) => ({ path: `${folder}/a.ts`, text }))),
    fine: [
      { path: 'domain/a.ts', text: 'new Date(at).toISOString(); clock.now(); clock.setTimeout(f);' },
      { path: 'infra/clock.ts', text: 'Date.now(); setTimeout(f, 1);' },
    ],
  },
];
