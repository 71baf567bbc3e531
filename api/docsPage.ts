/** `/docs`: the API's reference by Swagger UI, and the list of problems. Everything is served from here: works offline. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Request, type Response, Router } from 'express';
import helmet from 'helmet';
// Not the package itself, which would load its 1.5 MB of browser code into this process.
import absolutePath from 'swagger-ui-dist/absolute-path.js';
import { problemCodes, problemKinds } from './problem.ts';

/** Swagger UI styles its elements inline; its scripts come from us, and it talks to us only. */
const docsPolicy = helmet.contentSecurityPolicy({
  useDefaults: false,
  directives: {
    defaultSrc: ["'none'"],
    scriptSrc: ["'self'"],
    styleSrc: ["'self'", "'unsafe-inline'"],
    imgSrc: ["'self'", 'data:'],
    fontSrc: ["'self'", 'data:'],
    connectSrc: ["'self'"],
    baseUri: ["'none'"],
    formAction: ["'none'"],
    frameAncestors: ["'none'"],
  },
});

const types: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const start = `window.addEventListener('load', () => {
  SwaggerUIBundle({ url: '/openapi.json', dom_id: '#reference', deepLinking: true, validatorUrl: null });
});
`;

const page = (title: string, head: string, body: string): string =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>` +
  `<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="/docs/favicon-32x32.png">${head}</head>` +
  `<body>${body}</body></html>`;

const reference = page(
  'Colloquy API',
  '<link rel="stylesheet" href="/docs/swagger-ui.css"><script src="/docs/swagger-ui-bundle.js" defer></script><script src="/docs/start.js" defer></script>',
  '<div id="reference"></div><noscript>The document itself is at <a href="/openapi.json">/openapi.json</a>.</noscript>',
);

const problems = page(
  'Colloquy API: problems',
  '<style>body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}code{background:#8882;padding:0 .2em}</style>',
  `<h1>Problems</h1><p>Every error is <code>application/problem+json</code> (RFC 9457). <code>code</code> never changes its meaning; <code>retryable</code> says whether the identical request may succeed later.</p>${problemCodes
    .map((code) => {
      const { status, title, advice } = problemKinds[code];
      return `<h2 id="${code}"><code>${code}</code> ${status}</h2><p>${title}. ${advice.replaceAll('<', '&lt;').replaceAll(/`([^`]+)`/g, '<code>$1</code>')}</p>`;
    })
    .join('')}<p><a href="/docs">API reference</a></p>`,
);

/** To be mounted at `/docs`. */
export function createDocsPage(): Router {
  const router = Router();
  const loaded = new Map<string, Buffer>();
  const send = (res: Response, type: string, content: string | Buffer): void => {
    res.setHeader('Cache-Control', 'public, max-age=3600');
    res.setHeader('Content-Type', type);
    res.end(content);
  };
  router.use(docsPolicy);
  router.get('/', (_req: Request, res: Response) => send(res, 'text/html; charset=utf-8', reference));
  router.get('/problems', (_req: Request, res: Response) => send(res, 'text/html; charset=utf-8', problems));
  router.get('/start.js', (_req: Request, res: Response) => send(res, 'text/javascript; charset=utf-8', start));
  for (const [name, type] of Object.entries(types))
    router.get(`/${name}`, (_req: Request, res: Response) => {
      let content = loaded.get(name);
      if (content === undefined) {
        content = readFileSync(join(absolutePath(), name));
        loaded.set(name, content);
      }
      send(res, type, content);
    });
  return router;
}
