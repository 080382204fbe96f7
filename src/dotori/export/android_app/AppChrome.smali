# Lets the page's file input open the system's file chooser.
.class public Lorg/dotori/phone/AppChrome;
.super Landroid/webkit/WebChromeClient;

.field private final activity:Lorg/dotori/phone/MainActivity;

.method public constructor <init>(Lorg/dotori/phone/MainActivity;)V
    .registers 2
    invoke-direct {p0}, Landroid/webkit/WebChromeClient;-><init>()V
    iput-object p1, p0, Lorg/dotori/phone/AppChrome;->activity:Lorg/dotori/phone/MainActivity;
    return-void
.end method

.method public onShowFileChooser(Landroid/webkit/WebView;Landroid/webkit/ValueCallback;Landroid/webkit/WebChromeClient$FileChooserParams;)Z
    .registers 9
    iget-object v0, p0, Lorg/dotori/phone/AppChrome;->activity:Lorg/dotori/phone/MainActivity;
    const/4 v1, 0x0
    iget-object v2, v0, Lorg/dotori/phone/MainActivity;->chosen:Landroid/webkit/ValueCallback;
    if-eqz v2, :free
    invoke-interface {v2, v1}, Landroid/webkit/ValueCallback;->onReceiveValue(Ljava/lang/Object;)V
    :free
    iput-object p2, v0, Lorg/dotori/phone/MainActivity;->chosen:Landroid/webkit/ValueCallback;
    invoke-virtual {p3}, Landroid/webkit/WebChromeClient$FileChooserParams;->createIntent()Landroid/content/Intent;
    move-result-object v2
    # The page names endings, which the chooser does not know; the page checks what it gets.
    const-string v3, "*/*"
    invoke-virtual {v2, v3}, Landroid/content/Intent;->setType(Ljava/lang/String;)Landroid/content/Intent;
    const-string v3, "android.intent.extra.ALLOW_MULTIPLE"
    const/4 v4, 0x1
    invoke-virtual {v2, v3, v4}, Landroid/content/Intent;->putExtra(Ljava/lang/String;Z)Landroid/content/Intent;
    :try_start
    invoke-virtual {v0, v2, v4}, Lorg/dotori/phone/MainActivity;->startActivityForResult(Landroid/content/Intent;I)V
    :try_end
    .catch Landroid/content/ActivityNotFoundException; {:try_start .. :try_end} :none
    return v4
    :none
    iput-object v1, v0, Lorg/dotori/phone/MainActivity;->chosen:Landroid/webkit/ValueCallback;
    invoke-interface {p2, v1}, Landroid/webkit/ValueCallback;->onReceiveValue(Ljava/lang/Object;)V
    return v4
.end method
