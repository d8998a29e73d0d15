// The invitation: where others find this page, large enough to project.
(() => {
  const { state, element } = window.TRGBP;
  let button = null;
  let ask = null;

  // Called where the page is served to a network, and only there.
  window.TRGBP.inviting = (asking) => {
    ask = asking;
    if (button) button.hidden = false;
  };

  window.TRGBP.inviteButton = () => {
    button = element('button', { type: 'button', class: 'tg-button', 'data-control': 'invite', text: 'Invite the class', onclick: () => ask() });
    button.hidden = !ask;
    return button;
  };

  const dialog = element('dialog', { class: 'tg-invite', 'aria-labelledby': 'tg-invite-title' });

  state.updates.invitation = ({ address, code }) => {
    const close = element('button', { type: 'button', class: 'tg-button', text: 'Close', onclick: () => dialog.close() });
    const title = element('h2', { id: 'tg-invite-title', text: address ? 'Open this page on your own device' : 'This machine is on no network' });
    const picture = element('div');
    if (code) picture.innerHTML = code; // made by the server of an address alone
    dialog.replaceChildren(title, ...(address ? [element('strong', { text: address }), picture,
      element('p', { text: 'Your device must be on the same network. What you do there is seen by nobody else.' })] : []), close);
    if (!dialog.isConnected) document.body.append(dialog);
    if (!dialog.open) dialog.showModal();
  };
})();
