// A model that attacks, a model that fails, a user who attacks: nothing runs, and nothing of the provider's words is shown.
import { Buffer } from 'node:buffer'
import { check, same, until } from './check.mjs'
import { Visitor, answer, settled } from './visitor.mjs'

const ATTACKS = [
  '<script>window.hacked = 1</script>',
  '<img src=x onerror="window.hacked = 2">',
  '[a link](javascript:window.hacked=3)',
  '![a picture](x" onerror="window.hacked=4)',
  '<svg onload="window.hacked = 5"></svg>',
  '<a href="javascript:window.hacked=6">go</a>',
  '<style>body { display: none }</style>',
  '<iframe srcdoc="<script>parent.hacked = 7</script>"></iframe>',
  '```html\n<script>window.hacked = 8</script>\n```'
]
// One pixel.
const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbHYQAAAABJRU5ErkJggg==', 'base64')

export async function hostile(browser, app, model) {
  const eve = await Visitor.come(browser, app.url, '<script>window.hacked = 9</script>')
  const page = eve.page
  await eve.hire('<img src=x onerror="window.hacked = 10">')
  await eve.startThread()
  const text = ATTACKS.join('\n\n')
  model.replies.push(text)
  await eve.ask(`${ATTACKS[0]} ${ATTACKS[1]}`)
  await until('it is being written', async () => (await answer(page)).length > 20)
  await settled(page, 'done')
  for (const link of await page.locator('.message a').all()) {
    const href = await link.getAttribute('href')
    check(`no script in the link ${href}`, !/^javascript/i.test(href))
  }
  const inside = () => page.evaluate(() => ({
    hacked: window.hacked ?? 0,
    elements: document.querySelectorAll('main script, main iframe, main svg, main style, .text img, [onerror], [onload]').length,
    violations: window.violations.join()
  }))
  for (const where of ['while it came', 'after a reload']) {
    const found = await inside()
    same(`hostile words run nothing ${where}`, '{"hacked":0,"elements":0,"violations":""}', JSON.stringify(found))
    await page.reload()
  }
  check('they can be read', (await answer(page)).includes('window.hacked = 8'))
  same('a title of a model is text', 'A title <b>of it</b>', await until('a title', async () => {
    const title = await page.locator('#title').textContent()
    return title !== 'Untitled' && title
  }))

  await page.getByLabel('Picture', { exact: true }).setInputFiles({ name: '"><img src=x onerror=window.hacked=11>.png', mimeType: 'image/png', buffer: PNG })
  model.replies.push('A pixel.')
  await eve.ask('What is this?')
  await settled(page, 'done')
  const picture = await page.locator('.picture img').getAttribute('src')
  const shown = await page.request.get(picture)
  same('a picture is shown as what it is', 'image/png nosniff', `${shown.headers()['content-type']} ${shown.headers()['x-content-type-options']}`)
  check('the picture is drawn', await page.locator('.picture img').evaluate(image => image.decode().then(() => image.naturalWidth === 1)))
  await page.getByLabel('Picture', { exact: true }).setInputFiles({ name: 'x.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<svg/>') })
  check('another file is refused before it is sent', await page.getByText('This is none of these pictures.').isVisible())
  await page.getByLabel('Picture', { exact: true }).setInputFiles({ name: 'x.png', mimeType: 'image/png', buffer: Buffer.alloc(5_000_001) })
  check('a large one, too', await page.getByText('This picture is too large.').isVisible())
  await page.getByLabel('Picture', { exact: true }).setInputFiles([])

  model.replies.push(400)
  await eve.ask('Fail, please')
  await settled(page, 'failed')
  check('a failure is said in our words', !(await page.content()).includes('secret words'))
  model.replies.push('It works again.')
  await page.locator('.turn:last-child').getByRole('button', { name: 'Try again' }).click()
  // Until it has taken its place, the newest turn is the one before it.
  await until('it is there', async () => await answer(page) === 'It works again.')
  await settled(page, 'done')
  same('a retry after a failure', 'It works again.', await answer(page))
  same('nothing ran in all of that', '{"hacked":0,"elements":0,"violations":""}', JSON.stringify(await inside()))
  check('no page complained', eve.complaints.length === 0, eve.complaints.join('\n'))

  const forged = await page.request.post('/threads', { form: { csrf: 'nonsense' } })
  same('a form without its token is refused', 403, forged.status())
  await eve.context.close()
}

// Without a mouse, and without a script.
export async function keyboard(browser, app, model) {
  const eve = await Visitor.come(browser, app.url)
  const page = eve.page
  const press = async (...keys) => { for (const key of keys) await page.keyboard.press(key) }
  const to = async name => {
    for (let tries = 0; tries < 40; tries++) {
      const focused = await page.evaluate(() => {
        const at = document.activeElement
        return at.labels?.[0]?.textContent || at.getAttribute('aria-label') || at.textContent.trim() || ''
      })
      if (focused.trim().startsWith(name)) return
      await press('Tab')
    }
    throw new Error(`failed: the keyboard does not reach "${name}"`)
  }
  await page.goto('/sign-in')
  await to('Your name')
  await page.keyboard.type('Kay')
  await press('Enter')
  await page.waitForURL('**/threads')
  await to('Create your first')
  await press('Enter')
  await page.waitForURL('**/new')
  await to('Name')
  await page.keyboard.type('Homer')
  await to('Save')
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle)
  check('the focus is seen', outline !== 'none', outline)
  await press('Enter')
  await page.waitForURL(/storytellers\/\d+$/)
  await to('Start a thread')
  await press('Enter')
  await page.waitForURL(/threads\/\d+\?teller=\d+$/)
  await to('Your question')
  model.replies.push('Sing, o goddess, of the anger of Achilles, and let it be a long song of many words.')
  await page.keyboard.type('Sing')
  await press('Shift+Enter')
  await page.keyboard.type('of anger')
  check('Shift+Enter is a new line', (await page.getByLabel('Your question').inputValue()) === 'Sing\nof anger')
  await press('Enter')
  await settled(page, 'done')
  check('Enter sends, and the focus stays', await page.evaluate(() => document.activeElement.id === 'text'))
  await until('the state is told', async () => (await page.getByRole('status').textContent()) === 'Homer has answered.')
  check('the state is told to those who do not see it', true)
  const unnamed = await page.evaluate(() => [...document.querySelectorAll('input:not([type=hidden]), select, textarea, button')]
    .filter(one => !one.labels?.length && !one.textContent.trim() && !one.getAttribute('aria-label')).length)
  same('all controls have names', 0, unnamed)
  await eve.context.close()

  const plain = await Visitor.come(browser, app.url, 'Plain', { javaScriptEnabled: false })
  await plain.hire('Aesop')
  await plain.startThread()
  model.replies.push('A fox and some grapes.')
  await plain.page.getByLabel('Your question').fill('A fable')
  await plain.page.getByRole('button', { name: 'Send' }).click()
  await until('the answer without a script', async () => {
    await plain.page.waitForTimeout(500)
    await plain.page.goto(plain.page.url())
    return plain.page.getByText('A fox and some grapes.').isVisible()
  })
  check('the basics work without a script', true)
  check('and it is said how to go on', await plain.page.getByRole('link', { name: 'Load it again' }).isVisible())
  await plain.context.close()
}
